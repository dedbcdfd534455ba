import type { Awaitable } from '../common/awaitable.js';
import { ConfigurationError } from '../common/errors.js';
import type { LimitInput } from '../notation/limit-input.js';
import type { Hit } from '../core/contract.js';
import type { Storage } from '../core/storage.js';
import type { CalendarPosition } from '../strategies/calendars.js';
import type { StrategyName } from '../strategies/strategy.js';
import { ItemHits } from './item-hits.js';
import { Limiter } from './limiter.js';

/**
 * Counts hits on limits in a storage with one strategy.
 *
 * In addition to the errors of {@link Limiter}, every method throws `RateLimitParseError` for a
 * malformed limit and `ConfigurationError` for one that the strategy or the storage does not
 * support.
 */
export abstract class RateLimiter extends Limiter<LimitInput> {
  readonly #items: ItemHits;

  protected constructor(
    storage: Storage,
    /** The algorithm that counts the limits. */
    readonly strategy: StrategyName,
    options?: CalendarPosition & { readonly burst?: number | undefined },
  ) {
    super(storage);
    const { strategies } = storage.capabilities;
    if (!strategies.includes(strategy)) {
      throw new ConfigurationError(
        `${storage} has no strategy "${strategy}". It has: ${strategies.join(', ')}.`,
      );
    }
    this.#items = new ItemHits(storage, strategy, options);
  }

  protected override hitsOf(
    limits: LimitInput,
    identifiers: readonly string[],
    cost: number,
  ): Awaitable<Hit[]> {
    return this.#items.hitsOf(limits, identifiers, cost);
  }
}
