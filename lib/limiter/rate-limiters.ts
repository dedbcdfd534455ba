import type { Storage } from '../core/storage.js';
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
    super(storage, 'token-bucket', burst);
  }
}
