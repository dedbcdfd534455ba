import { beforeEach, describe, expect, it } from '@jest/globals';
import {
  FixedWindowRateLimiter,
  MemoryStorage,
  MovingWindowRateLimiter,
  parse,
  RateLimitItemPerSecond,
  SlidingWindowCounterRateLimiter,
  storageFromString,
  type RateLimiter,
} from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';

const clock = new ManualClock();
const onePerMinute = parse('1/minute');
const onePerSecond = new RateLimitItemPerSecond(1, 1);

const LIMITERS = [FixedWindowRateLimiter, MovingWindowRateLimiter, SlidingWindowCounterRateLimiter];

describe.each(LIMITERS.map((Limiter) => [Limiter.name, Limiter] as const))(
  'The quickstart of limits, with %s',
  (_name, Limiter) => {
    let limiter: RateLimiter;
    beforeEach(() => {
      limiter = new Limiter(new MemoryStorage({ clock }));
    });

    it('consumes the limits', () => {
      expect(limiter.hit(onePerMinute, 'test_namespace', 'foo')).toBe(true);
      expect(limiter.hit(onePerMinute, 'test_namespace', 'foo')).toBe(false);
      expect(limiter.hit(onePerMinute, 'test_namespace', 'bar')).toBe(true);

      expect(limiter.hit(onePerSecond, 'test_namespace', 'foo')).toBe(true);
      expect(limiter.hit(onePerSecond, 'test_namespace', 'foo')).toBe(false);
      clock.advance(limiter instanceof SlidingWindowCounterRateLimiter ? 1001 : 1000);
      expect(limiter.hit(onePerSecond, 'test_namespace', 'foo')).toBe(true);
    });

    it('checks without consuming', () => {
      expect(limiter.hit(onePerSecond, 'test_namespace', 'foo')).toBe(true);
      let polls = 0;
      while (limiter.test(onePerSecond, 'test_namespace', 'foo') !== true) {
        clock.advance(10);
        polls++;
      }
      expect(limiter.hit(onePerSecond, 'test_namespace', 'foo')).toBe(true);
      expect(polls).toBe(limiter instanceof SlidingWindowCounterRateLimiter ? 101 : 100);
    });

    it('queries the available capacity and the reset time', async () => {
      expect(limiter.hit(onePerMinute, 'test_namespace', 'foo')).toBe(true);
      const window = await limiter.getWindowStats(onePerMinute, 'test_namespace', 'foo');
      expect(window.remaining).toBe(0);
      expect(limiter.hit(onePerMinute, 'test_namespace', 'foo')).toBe(false);
      clock.advance(window.resetTime - clock.now());
      expect(limiter.hit(onePerMinute, 'test_namespace', 'foo')).toBe(true);
    });

    it('clears a limit', async () => {
      expect(limiter.hit(onePerMinute, 'test_namespace', 'foo')).toBe(true);
      expect(limiter.hit(onePerMinute, 'test_namespace', 'foo')).toBe(false);
      await limiter.clear(onePerMinute, 'test_namespace', 'foo');
      expect(limiter.hit(onePerMinute, 'test_namespace', 'foo')).toBe(true);
    });
  },
);

it('The quickstart of limits runs on a storage from a URI, awaited as in limits.aio', async () => {
  const limiter = new FixedWindowRateLimiter(await storageFromString('async+memory://', { clock }));

  expect(await limiter.hit(onePerMinute, 'test_namespace', 'foo')).toBe(true);
  expect(await limiter.test(onePerMinute, 'test_namespace', 'foo')).toBe(false);
  expect(await limiter.hit(onePerMinute, 'test_namespace', 'foo')).toBe(false);
});
