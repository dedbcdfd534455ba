import {
  assertWholeNumber,
  checkedLater,
  readOptions,
  type OptionNaming,
  type OptionTable,
} from '../common/options.js';
import type { LimitWait } from '../core/limit.js';
import { parseDuration } from '../notation/parse-duration.js';

/** How long requests wait instead of being refused, and how many. */
export interface WaitInstead {
  /** Longest wait of a request: `'2 seconds'`. */
  maxWait: string;
  /** Most requests of one identity that wait in one process; a whole number from 1. Default: no maximum. */
  maxQueue?: number | undefined;
}

/** The longest wait of a request, `'2 seconds'`, alone or with the most that wait; `false` for none. */
export type WaitOption = string | WaitInstead | false;

const waitOptions = {
  maxWait: checkedLater,
  maxQueue: { check: (where, value) => assertWholeNumber(where, value, 1), default: Infinity },
} as const satisfies OptionTable<WaitInstead>;

const naming: OptionNaming = { owner: 'A wait', option: (name) => `The option "${name}" of a wait` };

/**
 * Returns the wait of a limit.
 *
 * @throws ConfigurationError for a duration that cannot be read, or another invalid option
 */
export function waitOf(given: WaitOption): LimitWait | undefined {
  if (given === false) return undefined;
  if (typeof given !== 'object' || given === null)
    return { maxWait: parseDuration(given), maxQueue: Infinity };
  const { maxWait, maxQueue } = readOptions(waitOptions, given, naming);
  return { maxWait: parseDuration(maxWait), maxQueue };
}

/** Throws for an invalid option `wait`. */
export function assertWaitOption(_where: string, value: unknown): void {
  waitOf(value as WaitOption);
}
