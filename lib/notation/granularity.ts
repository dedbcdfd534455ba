/** A unit of time that a limit can be counted in. */
export interface Granularity {
  /** Singular, lower-case letters: `'minute'`. Its plural with `s` is understood too. */
  readonly name: string;
  /** Length of one unit in whole milliseconds. */
  readonly milliseconds: number;
  /** Other spellings, lower-case letters. */
  readonly aliases?: readonly string[];
}

/** Every spelling of a granularity. */
export function unitsOf(granularity: Granularity): string[] {
  return [granularity.name, `${granularity.name}s`, ...(granularity.aliases ?? [])];
}
