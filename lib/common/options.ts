import { describeValue, quote } from './describe.js';
import { ConfigurationError } from './errors.js';

/**
 * Throws a `ConfigurationError` for an unknown option, so that a misspelt or misplaced one is never
 * ignored.
 *
 * @param hints messages for names that belong elsewhere
 */
export function assertKnownOptions(
  where: string,
  given: object,
  known: readonly string[],
  hints: Readonly<Record<string, string>> = {},
): void {
  for (const name of Object.keys(given)) {
    if (known.includes(name)) continue;
    const hint = Object.hasOwn(hints, name) ? hints[name] : `Known options: ${known.join(', ')}.`;
    throw new ConfigurationError(`${where} does not know the option ${quote(name)}. ${hint}`);
  }
}

/** `T` without `undefined` values. */
export type Given<T> = { [Name in keyof T]: Exclude<T[Name], undefined> };

/** Returns a copy without the options that are `undefined`. */
export function withoutUndefined<T extends object>(options: T): Given<T> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Given<T>;
}

/** Throws a `ConfigurationError` unless the value is one of the known ones. */
export function assertOneOf<T extends string>(
  where: string,
  value: unknown,
  known: readonly T[],
): asserts value is T {
  if (known.includes(value as T)) return;
  const names = known.map((name) => `"${name}"`).join(', ');
  throw new ConfigurationError(`${where} must be one of ${names}; got ${describeValue(value)}.`);
}

/** Throws a `ConfigurationError` unless the value is a boolean. */
export function assertBoolean(where: string, value: unknown): asserts value is boolean {
  if (typeof value !== 'boolean')
    throw new ConfigurationError(`${where} must be true or false; got ${describeValue(value)}.`);
}

/** Throws a `ConfigurationError` unless the value is a whole number of at least `minimum`. */
export function assertWholeNumber(where: string, value: unknown, minimum: number): asserts value is number {
  if (!Number.isSafeInteger(value) || (value as number) < minimum) {
    throw new ConfigurationError(
      `${where} must be a whole number, at least ${minimum}; got ${describeValue(value)}.`,
    );
  }
}

/** Throws a `ConfigurationError` unless the options are an object. */
export function assertOptionsObject(where: string, value: unknown): asserts value is object {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new ConfigurationError(`${where} must be an object; got ${describeValue(value)}.`);
  }
}
