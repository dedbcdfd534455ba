import type { Granularity } from './granularity.js';
import { RateLimitItem } from './rate-limit-item.js';

/** Ms for which a slot is held without a renewal, unless the option `hold` says otherwise. */
export const DEFAULT_HOLD_MS = 30_000;

/**
 * A limit of work at one time: `'5 concurrent'`. Its period is `hold`: the time for which the slots of a process that has died stay
 * taken.
 *
 * @example
 * ```ts
 * import { parse } from 'nestjs-limits';
 *
 * const item = parse('5 concurrent');
 * item.amount; // 5
 * item.getExpiry(); // 30
 * item.toString(); // '5 concurrent'
 * ```
 */
export class RateLimitItemConcurrent extends RateLimitItem {
  static override readonly granularity: Granularity = { name: 'concurrent', milliseconds: DEFAULT_HOLD_MS };

  /**
   * @param amount slots; a safe integer, 0 refuses every hit
   * @param multiples always 1
   * @param namespace first part of every key
   * @throws RangeError when the amount is negative, fractional or too large, or for another multiple than 1
   */
  constructor(amount: number, multiples = 1, namespace?: string) {
    super(amount, multiples, namespace);
    if (this.multiples !== 1)
      throw new RangeError(`A limit of concurrent requests has no multiple; got ${multiples}.`);
  }

  /** Formats the item: `'5 concurrent'`. */
  override toString(): string {
    return `${this.amount} concurrent`;
  }
}

/** Returns true for a limit of concurrent requests. */
export function isConcurrent({ granularity }: RateLimitItem): boolean {
  return granularity.name === RateLimitItemConcurrent.granularity.name;
}
