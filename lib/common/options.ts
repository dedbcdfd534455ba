import { describeValue, quote } from './describe.js';
import { ConfigurationError } from './errors.js';

/**
 * Throws for an unknown option, so that a misspelt or misplaced one is never ignored.
 *
 * @param hints replaces the list of known options in the message, by name
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

/** Copies options without those that are `undefined`, so that none of them replaces a default. */
export function withoutUndefined<T extends object>(options: T): Given<T> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Given<T>;
}

/** Throws for an invalid value. `where` names the option in the message: `The option "phase"`. */
export type OptionCheck = (where: string, value: unknown) => void;

/** The validation and the default of one option. */
export interface OptionEntry<T> {
  /** Called for any value but `undefined`. Absent if the value is checked where it is compiled. */
  readonly check?: OptionCheck;
  /** Replaces an option that is not given. */
  readonly default?: T;
}

/** The entry of an option that is checked where it is compiled. */
export const checkedLater: OptionEntry<never> = {};

/**
 * All options of `T`, one entry each. The only list of them: an option that is added to `T` and not to its table does not compile.
 */
export type OptionTable<T> = { readonly [Name in keyof T]-?: OptionEntry<Exclude<T[Name], undefined>> };

/** The names of the options that have a default. */
type Defaulted<Table> = {
  [Name in keyof Table]: Table[Name] extends { readonly default: unknown } ? Name : never;
}[keyof Table];

/** Options after {@link readOptions}: those with a default are always there. */
export type Completed<T, Table> = Readonly<
  Given<T> & Required<Pick<Given<T>, Extract<Defaulted<Table>, keyof T>>>
>;

/** The words for options in messages. */
export interface OptionNaming {
  /** Takes the options: `RateLimitModule`. */
  readonly owner: string;
  /** Names one option: `The option "skip" of RateLimitModule`. */
  readonly option: (name: string) => string;
  /** Replaces the list of known options in a message about an unknown one, by its name. */
  readonly hints?: Readonly<Record<string, string>>;
}

/**
 * Validates options by their table and adds the defaults.
 *
 * @throws ConfigurationError for an unknown option or an invalid value
 */
export function readOptions<T extends object, Table extends OptionTable<T>>(
  table: Table,
  given: T,
  { owner, option, hints }: OptionNaming,
): Completed<T, Table> {
  assertKnownOptions(owner, given, Object.keys(table), hints);
  const options = withoutUndefined(given);
  const entries = Object.entries<OptionEntry<unknown>>(table);
  const defaults: Record<string, unknown> = {};
  for (const [name, { check, default: value }] of entries) {
    if (Object.hasOwn(options, name)) check?.(option(name), (options as Record<string, unknown>)[name]);
    else if (value !== undefined) defaults[name] = value;
  }
  return { ...defaults, ...options } as Completed<T, Table>;
}

/** Checks for one of the known values. */
export function oneOf(known: readonly string[]): OptionCheck {
  const names = known.map((name) => `"${name}"`).join(', ');
  return (where, value) => {
    if (known.includes(value as string)) return;
    throw new ConfigurationError(`${where} must be one of ${names}; got ${describeValue(value)}.`);
  };
}

/** Checks the type of a value. */
export function ofType(...types: readonly ('string' | 'function')[]): OptionCheck {
  return (where, value) => {
    if ((types as readonly string[]).includes(typeof value)) return;
    throw new ConfigurationError(`${where} must be a ${types.join(' or a ')}; got ${describeValue(value)}.`);
  };
}

/** Throws for anything but an array. */
export function assertList(where: string, value: unknown): void {
  if (!Array.isArray(value))
    throw new ConfigurationError(`${where} must be a list; got ${describeValue(value)}.`);
}

/** Throws for anything but `true` and `false`. */
export function assertBoolean(where: string, value: unknown): void {
  if (typeof value !== 'boolean')
    throw new ConfigurationError(`${where} must be true or false; got ${describeValue(value)}.`);
}

/** Throws for anything but a whole number of at least `minimum`. */
export function assertWholeNumber(where: string, value: unknown, minimum: number): asserts value is number {
  if (!Number.isSafeInteger(value) || (value as number) < minimum) {
    throw new ConfigurationError(
      `${where} must be a whole number, at least ${minimum}; got ${describeValue(value)}.`,
    );
  }
}

/** Throws for anything but an object, and for an array. */
export function assertOptionsObject(where: string, value: unknown): asserts value is object {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new ConfigurationError(`${where} must be an object; got ${describeValue(value)}.`);
  }
}
