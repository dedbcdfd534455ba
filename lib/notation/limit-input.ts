import { ConfigurationError } from '../common/errors.js';
import { describeValue } from '../common/describe.js';
import { parseMany } from './parse.js';
import type { RateLimitItem } from './rate-limit-item.js';

/**
 * A limit in any form: an item, the notation of one or several, or a list of these. Several are decided together, all or none.
 * `'unlimited'` counts nothing, where policies declare limits.
 */
export type LimitInput = string | RateLimitItem | readonly (string | RateLimitItem)[];

/** The limits of requests that are not counted. */
export const UNLIMITED = 'unlimited';

/**
 * Returns the items of a limit in any form; at least one.
 *
 * @throws RateLimitParseError for a malformed text, ConfigurationError for any other value
 */
export function itemsOf(input: LimitInput): readonly RateLimitItem[] {
  if (typeof input === 'string') return parseMany(input);
  if (!isList(input)) return [assertItem(input)];
  if (input.length === 0) throw invalid('an empty list');
  if (areItems(input)) return input;
  // Unlike flatMap, Array.from visits holes.
  return Array.from(input, (one) => (typeof one === 'string' ? parseMany(one) : [assertItem(one)])).flat();
}

/** Returns the items of a limit in any form; none for `'unlimited'`. */
export function itemsOrNone(input: LimitInput): readonly RateLimitItem[] {
  return input === UNLIMITED ? [] : itemsOf(input);
}

function assertItem(item: RateLimitItem): RateLimitItem {
  if (isItem(item)) return item;
  throw invalid(describeValue(item));
}

/** Returns true for an item, also one from another copy of this package. */
export function isItem(value: LimitInput | undefined | null): value is RateLimitItem {
  return typeof (value as Partial<RateLimitItem> | undefined | null)?.identityFor === 'function';
}

function areItems(list: readonly (string | RateLimitItem)[]): list is readonly RateLimitItem[] {
  for (const one of list) if (!isItem(one)) return false; // unlike every, visits holes
  return true;
}

function invalid(got: string): ConfigurationError {
  return new ConfigurationError(
    `A limit must be a text such as "10/minute", a RateLimitItem or a list of them; got ${got}.`,
  );
}

function isList(
  input: RateLimitItem | readonly (string | RateLimitItem)[],
): input is readonly (string | RateLimitItem)[] {
  return Array.isArray(input);
}
