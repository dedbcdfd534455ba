import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { suggestAmount } from '../../../lib/replay/suggest-amount.js';

describe('a suggested amount', () => {
  it('is the smallest whose share is low enough, with the share of the one below', async () => {
    const amounts = fc.integer({ min: 1, max: 10_000 });
    await fc.assert(
      fc.asyncProperty(amounts, amounts, async (needed, start) => {
        const tried: number[] = [];
        const suggestion = await suggestAmount(0.01, start, 10_000, async (amount) => {
          tried.push(amount);
          return amount >= needed ? 0.01 : 0.011;
        });
        expect(suggestion).toEqual({
          isReached: true,
          amount: { amount: needed, share: 0.01 },
          below: { amount: needed - 1, share: needed === 1 ? 1 : 0.011 },
        });
        expect(new Set(tried).size).toBe(tried.length);
        expect(tried.length).toBeLessThanOrEqual(29);
      }),
    );
  });

  it('is the largest, and not reached, if even that refuses more', async () => {
    expect(await suggestAmount(0.01, 30, 100, async (amount) => 1 - amount / 1000)).toEqual({
      isReached: false,
      amount: { amount: 100, share: 0.9 },
    });
  });
});
