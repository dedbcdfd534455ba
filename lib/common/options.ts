import { describeValue, quote } from './describe.js';
import { ConfigurationError } from './errors.js';

/**
 * Refuses options that are not known, so that a misspelt or misplaced one never passes in silence.
 *
 * @param hints what to say of names that are known elsewhere
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

/** What is given of options: none is there that is `undefined`. */
export type Given<T> = { [Name in keyof T]: Exclude<T[Name], undefined> };

/** Options as they are given: one that is `undefined` is not. */
export function withoutUndefined<T extends object>(options: T): Given<T> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Given<T>;
}

/** Refuses a value that is none of the known ones. */
export function assertOneOf<T extends string>(
  where: string,
  value: unknown,
  known: readonly T[],
): asserts value is T {
  if (known.includes(value as T)) return;
  const names = known.map((name) => `"${name}"`).join(', ');
  throw new ConfigurationError(`${where} must be one of ${names}; got ${describeValue(value)}.`);
}

/** Refuses a value that is neither true nor false. */
export function assertBoolean(where: string, value: unknown): asserts value is boolean {
  if (typeof value !== 'boolean')
    throw new ConfigurationError(`${where} must be true or false; got ${describeValue(value)}.`);
}

/** Refuses a value that is not a whole number of at least `minimum`. */
export function assertWholeNumber(where: string, value: unknown, minimum: number): asserts value is number {
  if (!Number.isSafeInteger(value) || (value as number) < minimum) {
    throw new ConfigurationError(
      `${where} must be a whole number, at least ${minimum}; got ${describeValue(value)}.`,
    );
  }
}

/** Refuses an options argument that is not a plain object of options. */
export function assertOptionsObject(where: string, value: unknown): asserts value is object {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new ConfigurationError(`${where} must be an object; got ${describeValue(value)}.`);
  }
}
