import { describe, expect, it } from '@jest/globals';
import type { StrategyName } from '../../../lib/strategies/strategy.js';
import { waitBehind } from '../../../lib/strategies/wait-behind.js';

const SIX_A_MINUTE = { amount: 6, period: 60_000, burst: 6 };

describe('The least wait behind others, of six units a minute', () => {
  it.each<[StrategyName, units: number, wait: number]>([
    ['fixed-window', 6, 0],
    ['fixed-window', 7, 60_000],
    ['fixed-window', 12, 60_000],
    ['fixed-window', 13, 120_000],
    ['fixed-window-elastic-expiry', 13, 120_000],
    ['moving-window', 13, 120_000],
    ['sliding-window-counter', 12, 0],
    ['sliding-window-counter', 13, 60_000],
    ['sliding-window-counter', 25, 120_000],
    ['token-bucket', 1, 0],
    ['token-bucket', 2, 9_999],
    ['token-bucket', 7, 59_999],
    ['calendar-window', 100, 0],
    ['concurrency', 100, 0],
  ])('with %s, for a line of %i units that begins with one, is %i ms', (strategy, units, wait) => {
    expect(waitBehind(strategy, SIX_A_MINUTE, units, 1)).toBe(wait);
  });

  it('leaves out the cost of the first, which a token bucket has when that is allowed', () => {
    expect(waitBehind('token-bucket', SIX_A_MINUTE, 7, 5)).toBe(19_999);
  });

  it('is a whole number of ms', () => {
    expect(waitBehind('token-bucket', { amount: 7, period: 1000, burst: 7 }, 3, 1)).toBe(285);
  });
});
