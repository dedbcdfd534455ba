import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  FixedWindowElasticExpiryRateLimiter,
  FixedWindowRateLimiter,
  MemoryStorage,
  MovingWindowRateLimiter,
  RateLimitItemPerMillisecond,
  SlidingWindowCounterRateLimiter,
  TokenBucketRateLimiter,
  type Decision,
  type RateLimiter,
  type RateLimitItem,
} from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { RUNS, START } from '../support/strategies.js';

const LIMITERS = [
  FixedWindowRateLimiter,
  FixedWindowElasticExpiryRateLimiter,
  MovingWindowRateLimiter,
  SlidingWindowCounterRateLimiter,
  TokenBucketRateLimiter,
];

const items: fc.Arbitrary<RateLimitItem> = fc
  .tuple(fc.nat(6), fc.integer({ min: 1, max: 30 }))
  .map(([amount, period]) => new RateLimitItemPerMillisecond(amount, period));

/** One to three limits, and hits on them by two identities, on a clock that sometimes goes back. */
const scenarios = fc.record({
  limits: fc.uniqueArray(items, { minLength: 1, maxLength: 3, selector: String }),
  steps: fc.array(
    fc.record({
      wait: fc.oneof(
        { weight: 6, arbitrary: fc.integer({ min: 0, max: 30 }) },
        { weight: 1, arbitrary: fc.integer({ min: -100, max: 0 }) },
      ),
      identity: fc.constantFrom('alice', 'bob'),
      cost: fc.integer({ min: 0, max: 7 }),
    }),
    { maxLength: 15 },
  ),
});

/** Returns the remaining units of each limit in a decision, less those that the hit will take. */
function leftBy({ limits }: Decision, cost = 0): number[] {
  return limits.map(({ remaining }) => remaining - cost);
}

/** Always closes the storage: thousands of open ones would keep sweeping. */
async function withLimiter(
  Limiter: (typeof LIMITERS)[number],
  use: (limiter: RateLimiter, clock: ManualClock) => Promise<void>,
): Promise<void> {
  const clock = new ManualClock(START);
  const storage = new MemoryStorage({ clock });
  try {
    await use(new Limiter(storage), clock);
  } finally {
    storage.close();
  }
}

describe.each(LIMITERS.map((Limiter) => [Limiter.name, Limiter] as const))('%s', (_name, Limiter) => {
  it('allows hits exactly if test has just returned true, for one limit and for several', async () => {
    await fc.assert(
      fc.asyncProperty(scenarios, ({ limits, steps }) =>
        withLimiter(Limiter, async (limiter, clock) => {
          const [tested, hit]: [boolean[], boolean[]] = [[], []];
          for (const { wait, identity, cost } of steps) {
            clock.advance(wait);
            tested.push(await limiter.test(limits, [identity], { cost }));
            hit.push(await limiter.hit(limits, [identity], { cost }));
          }

          expect(hit).toEqual(tested);
        }),
      ),
      RUNS,
    );
  });

  it('predicts the decision of consume by peek, and reports afterwards what was taken', async () => {
    await fc.assert(
      fc.asyncProperty(scenarios, ({ limits, steps }) =>
        withLimiter(Limiter, async (limiter, clock) => {
          const [foretold, decided, seen, expected]: [unknown[], unknown[], unknown[], unknown[]] = [
            [],
            [],
            [],
            [],
          ];
          for (const { wait, identity, cost } of steps) {
            clock.advance(wait);
            const before = await limiter.peek(limits, [identity], { cost });
            const decision = await limiter.consume(limits, [identity], { cost });
            const after = await limiter.peek(limits, [identity], { cost: 0 });
            // A refused hit moves the end of an elastic window.
            const waits = limiter.strategy !== 'fixed-window-elastic-expiry';
            foretold.push(
              before.allowed,
              waits && before.retryAfter,
              leftBy(before, before.allowed ? cost : 0),
            );
            decided.push(decision.allowed, waits && decision.retryAfter, leftBy(decision));
            seen.push(...after.limits.map(({ remaining, resetTime }) => [remaining, resetTime]));
            expected.push(...decision.limits.map(({ remaining, resetTime }) => [remaining, resetTime]));
          }

          expect(decided).toEqual(foretold);
          expect(seen).toEqual(expected);
        }),
      ),
      RUNS,
    );
  });

  it('allows a refused hit after its retryAfter', async () => {
    await fc.assert(
      fc.asyncProperty(scenarios, fc.nat(), ({ limits, steps }, seed) =>
        withLimiter(Limiter, async (limiter, clock) => {
          const least = Math.min(...limits.map((limit) => limit.amount));
          fc.pre(least > 0);
          const cost = 1 + (seed % least);
          for (const step of steps) {
            clock.advance(step.wait);
            await limiter.hit(limits, [step.identity], { cost: step.cost });
          }
          let { allowed, retryAfter } = await limiter.consume(limits, ['alice'], { cost });
          while (allowed) ({ allowed, retryAfter } = await limiter.consume(limits, ['alice'], { cost }));

          clock.advance((retryAfter ?? NaN) - 1);
          const early = await limiter.test(limits, ['alice'], { cost });
          clock.advance(1);
          const onTime = await limiter.hit(limits, ['alice'], { cost });

          expect([early, onTime]).toEqual([false, true]);
        }),
      ),
      RUNS,
    );
  });

  it('is the same after the refund of a decision as without the hit, for all limits', async () => {
    await fc.assert(
      fc.asyncProperty(scenarios, fc.nat(6), ({ limits, steps }, cost) =>
        withLimiter(Limiter, async (limiter, clock) => {
          for (const step of steps) {
            clock.advance(Math.max(0, step.wait));
            await limiter.hit(limits, [step.identity], { cost: step.cost });
          }
          const before = await limiter.peek(limits, ['alice'], { cost });
          const decision = await limiter.consume(limits, ['alice'], { cost });

          await limiter.refund(decision);
          await limiter.refund(decision);

          expect(leftBy(await limiter.peek(limits, ['alice'], { cost }))).toEqual(leftBy(before));
        }),
      ),
      RUNS,
    );
  });
});
