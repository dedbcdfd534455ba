import { ConfigurationError } from '../common/errors.js';
import {
  assertWholeNumber,
  checkedLater,
  readOptions,
  type OptionNaming,
  type OptionTable,
} from '../common/options.js';
import type { Limit } from '../core/limit.js';
import { parseDuration } from '../notation/parse-duration.js';

/** Blocks that begin after several refusals. */
export interface BlockAfterRefusals {
  /** Refusals by the limit within one of its periods, which begins at the first of them; a whole number from 1. Default: 1. */
  after?: number | undefined;
  /** Duration of the block: `'15 minutes'`, `'window'`, or a list for the first, the second, … */
  for: string | readonly string[];
}

/** Duration of a block, or of the first, the second, …; `'window'` is the period of the limit; none for an empty list. */
export type BlockOption = string | readonly string[] | BlockAfterRefusals;

/** A duration that is the period of the limit. */
const WINDOW = 'window';

const blockOptions = {
  after: { check: (where, value) => assertWholeNumber(where, value, 1), default: 1 },
  for: checkedLater,
} as const satisfies OptionTable<BlockAfterRefusals>;

const naming: OptionNaming = { owner: 'A block', option: (name) => `The option "${name}" of a block` };

/**
 * Returns the options of a limit that blocks.
 *
 * @param period length of the limit's window in ms
 * @throws ConfigurationError for a duration that cannot be read, or another invalid option
 */
export function blockOf(given: BlockOption, period: number): Pick<Limit, 'block' | 'blockAfter'> {
  const { after, for: durations } = isAfterRefusals(given)
    ? readOptions(blockOptions, given, naming)
    : { after: blockOptions.after.default, for: given };
  if (durations === undefined)
    throw new ConfigurationError("A block needs a duration: { after: 20, for: '1 hour' }.");
  const block = [durations].flat().map((text) => (text === WINDOW ? period : parseDuration(text)));
  return { block, blockAfter: after };
}

/** Throws for an invalid option `block`. */
export function assertBlock(_where: string, value: unknown): void {
  blockOf(value as BlockOption, 1);
}

function isAfterRefusals(given: BlockOption): given is BlockAfterRefusals {
  return typeof given === 'object' && given !== null && !Array.isArray(given);
}
