import { ItemHits, type ItemHitsOptions } from '../limiter/item-hits.js';
import { MAX_MOVING_WINDOW, type Limit } from '../core/limit.js';
import type { RateLimitItem } from '../notation/rate-limit-item.js';
import { MemoryStorage } from '../storages/memory/memory.storage.js';
import type { RateStrategyName } from '../strategies/strategy.js';

/** Limits that a log is replayed under. */
export interface ReplayedLimits extends ItemHitsOptions {
  readonly items: readonly RateLimitItem[];
  readonly strategy: RateStrategyName;
}

/**
 * Compiles limits as a limiter does.
 *
 * @throws ConfigurationError for limits that the strategy does not support
 */
export async function compileLimits({ items, strategy, ...options }: ReplayedLimits): Promise<Limit[]> {
  const hits = await new ItemHits(new MemoryStorage(), strategy, options).hitsOf(items, [''], 1);
  return hits.map(({ limit }) => limit);
}

/** Returns the largest amount for which a limit can be compiled, at most a given one. */
export function largestAmount(
  { strategy, burst }: ReplayedLimits,
  { period }: Limit,
  amount: number,
): number {
  if (strategy === 'moving-window') return Math.min(amount, MAX_MOVING_WINDOW);
  if (strategy !== 'token-bucket') return amount;
  // A bucket of a fixed size is full again after each ms at most.
  return burst === undefined
    ? Math.min(amount, Math.floor(Number.MAX_SAFE_INTEGER / period))
    : Math.max(amount, burst * period);
}
