import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  FixedWindowRateLimiter,
  MovingWindowRateLimiter,
  parse,
  RateLimitItemPerSecond,
  SlidingWindowCounterRateLimiter,
  type Awaitable,
  type Clock,
  type RateLimiter,
  type Storage,
} from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';

const onePerMinute = parse('1/minute');
const onePerSecond = new RateLimitItemPerSecond(1, 1);

const LIMITERS = [FixedWindowRateLimiter, MovingWindowRateLimiter, SlidingWindowCounterRateLimiter];

/** Runs the quickstart of the Python library `limits`, line by line, on empty storages. */
export function describeQuickstart(open: (options: { clock: Clock }) => Awaitable<Storage>): void {
  describe.each(LIMITERS.map((Limiter) => [Limiter.name, Limiter] as const))(
    'The quickstart of limits, with %s',
    (_name, Limiter) => {
      const clock = new ManualClock(Date.now());
      /** Two of the counters free a unit of a full window 1 ms after its end. */
      const second = Limiter === SlidingWindowCounterRateLimiter ? 1001 : 1000;
      let storage: Storage;
      let limiter: RateLimiter;
      beforeEach(async () => {
        storage = await open({ clock });
        limiter = new Limiter(storage);
      });
      afterEach(() => storage.close());

      it('consumes the limits', async () => {
        expect(await limiter.hit(onePerMinute, 'test_namespace', 'foo')).toBe(true);
        expect(await limiter.hit(onePerMinute, 'test_namespace', 'foo')).toBe(false);
        expect(await limiter.hit(onePerMinute, 'test_namespace', 'bar')).toBe(true);

        expect(await limiter.hit(onePerSecond, 'test_namespace', 'foo')).toBe(true);
        expect(await limiter.hit(onePerSecond, 'test_namespace', 'foo')).toBe(false);
        clock.advance(second);
        expect(await limiter.hit(onePerSecond, 'test_namespace', 'foo')).toBe(true);
      });

      it('checks without consuming', async () => {
        expect(await limiter.hit(onePerSecond, 'test_namespace', 'foo')).toBe(true);
        let polls = 0;
        while (!(await limiter.test(onePerSecond, 'test_namespace', 'foo'))) {
          clock.advance(10);
          polls++;
        }
        expect(polls).toBe(Math.ceil(second / 10));
        expect(await limiter.hit(onePerSecond, 'test_namespace', 'foo')).toBe(true);
      });

      it('queries the available capacity and the reset time', async () => {
        expect(await limiter.hit(onePerMinute, 'test_namespace', 'foo')).toBe(true);
        const window = await limiter.getWindowStats(onePerMinute, 'test_namespace', 'foo');
        expect(window.remaining).toBe(0);
        expect(await limiter.hit(onePerMinute, 'test_namespace', 'foo')).toBe(false);
        clock.advance(window.resetTime - clock.now());
        expect(await limiter.hit(onePerMinute, 'test_namespace', 'foo')).toBe(true);
      });

      it('clears a limit', async () => {
        expect(await limiter.hit(onePerMinute, 'test_namespace', 'foo')).toBe(true);
        expect(await limiter.hit(onePerMinute, 'test_namespace', 'foo')).toBe(false);
        await limiter.clear(onePerMinute, 'test_namespace', 'foo');
        expect(await limiter.hit(onePerMinute, 'test_namespace', 'foo')).toBe(true);
      });
    },
  );
}
