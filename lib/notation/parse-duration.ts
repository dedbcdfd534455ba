import { ConfigurationError } from '../common/errors.js';
import { describeValue } from '../common/describe.js';
import { parse } from './parse.js';

/**
 * Parses a duration in the units of the limit notation: `'15 minutes'`, `'1 hour'`, `'day'`; at least one unit.
 *
 * @returns whole ms
 * @throws ConfigurationError naming what was given
 */
export function parseDuration(text: string): number {
  try {
    if (typeof text !== 'string' || /^\s*0+(?!\d)/.test(text)) throw new RangeError('Not a duration.');
    return parse(`1 per ${text}`).period;
  } catch (cause) {
    throw new ConfigurationError(
      `A length of time is written as "15 minutes" or "1 hour"; got ${describeValue(text)}.`,
      { cause },
    );
  }
}
