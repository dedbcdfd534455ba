import { setImmediate as immediate } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  createLimit,
  FixedWindowElasticExpiryRateLimiter,
  FixedWindowRateLimiter,
  MemoryStorage,
  MovingWindowRateLimiter,
  RateLimitItemPerMillisecond,
  SlidingWindowCounterRateLimiter,
  TokenBucketRateLimiter,
  type Hit,
  type StrategyName,
} from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { waitBehind } from '../../lib/strategies/wait-behind.js';
import { RUNS } from '../support/strategies.js';

const STRATEGIES: readonly StrategyName[] = [
  'fixed-window',
  'fixed-window-elastic-expiry',
  'moving-window',
  'sliding-window-counter',
  'token-bucket',
];

const lines = fc
  .record({ amount: fc.integer({ min: 1, max: 5 }), period: fc.integer({ min: 1, max: 40 }) })
  .chain((quota) =>
    fc.record({
      quota: fc.constant(quota),
      burst: fc.integer({ min: quota.amount, max: 8 }),
      /** Hits before the line, each after a pause. */
      before: fc.array(fc.tuple(fc.nat(50), fc.integer({ min: 1, max: quota.amount })), { maxLength: 12 }),
      costs: fc.array(fc.integer({ min: 1, max: quota.amount }), { minLength: 1, maxLength: 12 }),
    }),
  );

/** Returns the ms that pass until a hit is allowed, and takes it then. */
function takeAsSoonAsAllowed(storage: MemoryStorage, clock: ManualClock, hit: Hit): number {
  const [outcome] = storage.peek([hit]).outcomes;
  const wait = outcome?.retryAfter ?? 0;
  clock.advance(wait);
  expect(storage.consume([hit]).allowed).toBe(true);
  return wait;
}

describe('The least wait behind others', () => {
  it.each(STRATEGIES)('is never longer than that of all hits taken in order, with %s', (strategy) => {
    fc.assert(
      fc.property(lines, ({ quota, burst, before, costs }) => {
        const clock = new ManualClock();
        const storage = new MemoryStorage({ clock });
        const limit = createLimit({
          id: 'line',
          strategy,
          ...quota,
          burst: strategy === 'token-bucket' ? burst : undefined,
        });
        const hitOf = (cost: number): Hit => ({ identity: 'a', limit, cost });
        for (const [pause, cost] of before) {
          clock.advance(pause);
          storage.consume([hitOf(cost)]);
        }
        const waits = costs.map((cost) => takeAsSoonAsAllowed(storage, clock, hitOf(cost)));
        storage.close();
        const [first = 0] = waits;
        if (first === 0) return; // nobody had to wait, so there is no line
        const units = costs.reduce((sum, cost) => sum + cost, 0);
        const total = waits.reduce((sum, wait) => sum + wait, 0);
        expect(first + waitBehind(strategy, limit, units, costs[0] ?? 0)).toBeLessThanOrEqual(total);
      }),
      RUNS,
    );
  });
});

const LIMITERS = [
  FixedWindowRateLimiter,
  FixedWindowElasticExpiryRateLimiter,
  MovingWindowRateLimiter,
  SlidingWindowCounterRateLimiter,
  TokenBucketRateLimiter,
];

/** Callers that wait, and a last one with a maximum wait. */
const callers = fc.integer({ min: 1, max: 4 }).chain((amount) =>
  fc.record({
    amount: fc.constant(amount),
    period: fc.integer({ min: 1, max: 15 }),
    before: fc.nat(amount),
    costs: fc.array(fc.integer({ min: 1, max: amount }), { maxLength: 6 }),
    last: fc.integer({ min: 1, max: amount }),
    maxWait: fc.nat(60),
  }),
);

describe('The last of several callers', () => {
  it.each(LIMITERS)('is refused only if it would not have passed in time, with %p', async (Limiter) => {
    await fc.assert(
      fc.asyncProperty(callers, async ({ amount, period, before, costs, last, maxWait }) => {
        const item = new RateLimitItemPerMillisecond(amount, period);
        /** Returns the ms after which the last caller is answered, and whether it passed. */
        const play = async (maxWait: number): Promise<[number, boolean]> => {
          const clock = new ManualClock();
          const storage = new MemoryStorage({ clock });
          const limiter = new Limiter(storage);
          if (before > 0) await limiter.hit(item, ['a'], { cost: before });
          for (const cost of costs) void limiter.waitFor(item, ['a'], { cost });
          await immediate(); // so that they stand in line
          const answers: boolean[] = [];
          limiter.waitFor(item, ['a'], { cost: last, maxWait }).then(
            () => answers.push(true),
            () => answers.push(false),
          );
          const begun = clock.now();
          for (await immediate(); answers.length === 0; await immediate()) clock.advance(1);
          storage.close();
          return [clock.now() - begun, answers[0] === true];
        };
        const [time] = await play(Infinity);
        const [, passed] = await play(maxWait);
        if (time !== maxWait) expect(passed).toBe(time < maxWait); // in the same ms, either may come first
      }),
      { numRuns: Math.min(RUNS.numRuns, 60) },
    );
  });
});
