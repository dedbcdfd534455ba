/** A unit of time for limits. */
export interface Granularity {
  /** Singular, lower-case letters: `'minute'`. The plural with `s` is accepted too. */
  readonly name: string;
  /** Length of one unit in whole milliseconds. */
  readonly milliseconds: number;
  /** Other spellings, lower-case letters. */
  readonly aliases?: readonly string[];
}

/** Returns every spelling of a granularity. */
export function unitsOf(granularity: Granularity): string[] {
  return [granularity.name, `${granularity.name}s`, ...(granularity.aliases ?? [])];
}
