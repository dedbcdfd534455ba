import type { Storage } from '../core/storage.js';
import { assertAnchor, assertTimeZone, type CalendarPosition } from '../strategies/calendars.js';
import { RateLimiter } from './rate-limiter.js';

/**
 * Counts in windows that open at the first hit. Cheap, but allows up to twice the amount across the
 * boundary of two windows.
 *
 * @example
 * ```ts
 * import { FixedWindowRateLimiter, MemoryStorage, parse } from 'nestjs-limits';
 *
 * const limiter = new FixedWindowRateLimiter(new MemoryStorage());
 * const onePerMinute = parse('1/minute');
 * limiter.hit(onePerMinute, 'test_namespace', 'foo'); // true
 * limiter.hit(onePerMinute, 'test_namespace', 'foo'); // false
 * limiter.hit(onePerMinute, ['test_namespace', 'bar'], { cost: 1 }); // true
 * ```
 */
export class FixedWindowRateLimiter extends RateLimiter {
  constructor(storage: Storage) {
    super(storage, 'fixed-window');
  }
}

/**
 * Like {@link FixedWindowRateLimiter}, but every hit, allowed or refused, extends the window to a
 * full period from now.
 */
export class FixedWindowElasticExpiryRateLimiter extends RateLimiter {
  constructor(storage: Storage) {
    super(storage, 'fixed-window-elastic-expiry');
  }
}

/**
 * Counts in windows of the calendar: days, weeks, months and years of a time zone, from an anchor. While the package
 * `temporal-polyfill` is loaded, which engines without `Temporal` need, methods return promises on a memory storage too.
 *
 * @throws ConfigurationError for an unknown time zone or an anchor that is not a local date, or date and time
 * @example
 * ```ts
 * import { CalendarWindowRateLimiter, MemoryStorage } from 'nestjs-limits';
 *
 * const limiter = new CalendarWindowRateLimiter(new MemoryStorage(), {
 *   timeZone: 'Europe/Berlin',
 *   anchor: '2026-01-15', // months from the 15th
 * });
 * await limiter.hit('1000/month', 'customer', '42');
 * ```
 */
export class CalendarWindowRateLimiter extends RateLimiter {
  constructor(storage: Storage, { timeZone, anchor }: CalendarPosition = {}) {
    super(storage, 'calendar-window', { timeZone, anchor });
    if (timeZone !== undefined) assertTimeZone('The timeZone of CalendarWindowRateLimiter', timeZone);
    if (anchor !== undefined) assertAnchor('The anchor of CalendarWindowRateLimiter', anchor);
  }
}

/**
 * Logs each hit. Never allows more than the amount in any span of the window's length. Meant for
 * small amounts.
 */
export class MovingWindowRateLimiter extends RateLimiter {
  constructor(storage: Storage) {
    super(storage, 'moving-window');
  }
}

/** Approximates a moving window with two counters, at constant cost. */
export class SlidingWindowCounterRateLimiter extends RateLimiter {
  constructor(storage: Storage) {
    super(storage, 'sliding-window-counter');
  }
}

/** Refills evenly and allows bursts of up to `burst` hits (default: the limit's amount). */
export class TokenBucketRateLimiter extends RateLimiter {
  constructor(storage: Storage, { burst }: { burst?: number | undefined } = {}) {
    super(storage, 'token-bucket', { burst });
  }
}
