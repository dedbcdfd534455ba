import { ConfigurationError } from '../common/errors.js';
import { describeValue } from '../common/describe.js';
import { parse } from './parse.js';

/**
 * Reads a length of time in the units of the notation of limits: `'15 minutes'`, `'1 hour'`, `'day'`. At least
 * one of them.
 *
 * @returns whole ms
 * @throws ConfigurationError naming what was given
 */
export function parseDuration(text: string): number {
  try {
    if (typeof text !== 'string' || /^\s*0+(?!\d)/.test(text)) throw new RangeError('That is no time.');
    return parse(`1 per ${text}`).period;
  } catch (cause) {
    throw new ConfigurationError(
      `A length of time is written as "15 minutes" or "1 hour"; got ${describeValue(text)}.`,
      { cause },
    );
  }
}
