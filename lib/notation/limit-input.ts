import { ConfigurationError } from '../common/errors.js';
import { describeValue } from '../common/describe.js';
import { parseMany } from './parse.js';
import type { RateLimitItem } from './rate-limit-item.js';

/** A limit in any form: an item, several, or the notation of one or several. Several are decided together, all or none. */
export type LimitInput = string | RateLimitItem | readonly RateLimitItem[];

/**
 * Returns the items of a limit in any form; at least one.
 *
 * @throws RateLimitParseError for a malformed text, ConfigurationError for any other value
 */
export function itemsOf(input: LimitInput): readonly RateLimitItem[] {
  if (typeof input === 'string') return parseMany(input);
  const items = isList(input) ? input : [input];
  const invalid = items.findIndex(
    (item) => typeof (item as Partial<RateLimitItem> | undefined)?.identityFor !== 'function',
  );
  if (items.length === 0 || invalid >= 0) {
    throw new ConfigurationError(
      `A limit must be a text such as "10/minute", a RateLimitItem or a list of them; got ${items.length === 0 ? 'an empty list' : describeValue(items[invalid])}.`,
    );
  }
  return items;
}

function isList(input: RateLimitItem | readonly RateLimitItem[]): input is readonly RateLimitItem[] {
  return Array.isArray(input);
}
