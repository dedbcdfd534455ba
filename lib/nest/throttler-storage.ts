import { BoundedMap } from '../common/bounded-map.js';
import { ConfigurationError } from '../common/errors.js';
import { identityOf } from '../common/identity.js';
import { createLimit, type Limit } from '../core/limit.js';
import { onlyOutcome } from '../core/contract.js';
import { assertSupported, type Storage } from '../core/storage.js';
import type { RateStrategyName, StrategyName } from '../strategies/strategy.js';
import { closeOnShutdown } from './storage/close-on-shutdown.js';

/** The storage interface of `@nestjs/throttler`, whose module closes it as a provider of the application. */
export interface ThrottlerStorage {
  /**
   * Counts a hit.
   *
   * @param ttl ms
   * @param blockDuration ms
   */
  increment(
    key: string,
    ttl: number,
    limit: number,
    blockDuration: number,
    throttlerName: string,
  ): Promise<ThrottlerStorageRecord>;
  /** Closes the storage of this library, which closes the clients that it opened. Logs a failure instead of throwing. */
  onApplicationShutdown(): Promise<void>;
}

/** The result of a hit for `@nestjs/throttler`. Times are in whole seconds from now. */
export interface ThrottlerStorageRecord {
  /** Hits in the window; one more than the limit if this hit is refused. */
  totalHits: number;
  /** Time until the window resets. */
  timeToExpire: number;
  /** True if this hit is refused. */
  isBlocked: boolean;
  /** Time until a hit would be allowed; 0 if this one is. */
  timeToBlockExpire: number;
}

/** The longest window or block in ms: 1,000 years. */
const MAX_MS = 31_557_600_000_000;

/** Returns true for a limit that no number of hits exceeds. */
function isUnlimited(limit: number): boolean {
  return Number.isNaN(limit) || limit > Number.MAX_SAFE_INTEGER;
}

/** Returns the hits that a limit allows. The storage of throttler refuses hits above it: 2.5 allows two, and -1 none. */
function wholeUnits(limit: number): number {
  return Math.max(0, Math.floor(limit));
}

/** Returns whole ms, of at least a minimum: a window of no length has ended at the next hit. */
function wholeMs(ms: number, minimum: number): number {
  return Math.ceil(Math.min(MAX_MS, Math.max(minimum, Number.isNaN(ms) ? minimum : ms)));
}

/** Capacity of the cache of compiled limits. */
const MAX_LIMITS = 1000;

/**
 * Adapts any storage of this library to `@nestjs/throttler`, for a gradual migration or to share a store. `ThrottlerModule` closes
 * the storage when the application shuts down.
 *
 * @throws ConfigurationError for the strategies `'calendar-window'`, which needs more than a length in ms, and `'concurrency'`
 * @example
 * ```ts
 * import { ThrottlerModule } from '@nestjs/throttler';
 * import { toThrottlerStorage } from 'nestjs-limits';
 * import { RedisStorage } from 'nestjs-limits/redis';
 *
 * ThrottlerModule.forRoot({
 *   throttlers: [{ ttl: 60_000, limit: 10 }],
 *   storage: toThrottlerStorage(new RedisStorage('redis://localhost:6379')),
 * });
 * ```
 */
export function toThrottlerStorage(
  storage: Storage,
  { strategy = 'fixed-window' }: { strategy?: Exclude<RateStrategyName, 'calendar-window'> | undefined } = {},
): ThrottlerStorage {
  assertCountsMs(strategy);
  const limits = new BoundedMap<Limit>(MAX_LIMITS);
  const limitOf = (name: string, amount: number, period: number, block: number): Limit =>
    limits.getOrMake(`${name} ${amount} ${period} ${block}`, () => {
      const id = `throttler ${name}:${period}:${strategy}`;
      const limit = createLimit({ id, name, strategy, amount, period, block: block > 0 ? [block] : [] });
      assertSupported(storage, limit);
      return limit;
    });
  return {
    async increment(key, ttl, given, blockFor, throttlerName) {
      if (isUnlimited(given))
        return {
          totalHits: 1,
          timeToExpire: Math.ceil(wholeMs(ttl, 0) / 1000),
          isBlocked: false,
          timeToBlockExpire: 0,
        };
      const amount = wholeUnits(given);
      const blockDuration = wholeMs(blockFor, 0);
      const limit = limitOf(throttlerName, amount, wholeMs(ttl, 1), blockDuration);
      const identity = identityOf('throttler', key);
      const result = await storage.consume([{ identity, limit, cost: 1 }]);
      const { allowed, remaining, resetTime, retryAfter } = onlyOutcome(result);
      const wait = retryAfter === undefined || retryAfter === Infinity ? blockDuration : retryAfter;
      return {
        totalHits: allowed ? amount - remaining : amount + 1,
        timeToExpire: Math.ceil((resetTime - result.now) / 1000),
        isBlocked: !allowed,
        timeToBlockExpire: allowed ? 0 : Math.ceil(wait / 1000),
      };
    },
    onApplicationShutdown: () => closeOnShutdown(storage),
  };
}

/** Throws for a strategy that needs more than a limit and a length in ms. */
function assertCountsMs(strategy: StrategyName): void {
  if (strategy === 'calendar-window')
    throw new ConfigurationError(
      'toThrottlerStorage has no calendar: @nestjs/throttler gives the length of a window in ms. Take another strategy than "calendar-window".',
    );
  if (strategy === 'concurrency')
    throw new ConfigurationError(
      'toThrottlerStorage counts rates: @nestjs/throttler does not say when a request has ended. Take another strategy than "concurrency".',
    );
}
