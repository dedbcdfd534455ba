import { chain, type Awaitable } from '../common/awaitable.js';
import { ConfigurationError } from '../common/errors.js';
import { isTemporalLoaded, loadTemporal } from '../common/temporal.js';
import { calendarOptions, type CalendarPosition } from '../strategies/calendars.js';
import { BoundedMap } from '../common/bounded-map.js';
import { boundedIdentity } from '../common/identity.js';
import { isItem, itemsOf, UNLIMITED, type LimitInput } from '../notation/limit-input.js';
import type { RateLimitItem } from '../notation/rate-limit-item.js';
import { isConcurrent } from '../notation/rate-limit-item-concurrent.js';
import type { Hit } from '../core/contract.js';
import { createLimit, type Limit } from '../core/limit.js';
import { itemLimitId } from '../core/per-key-methods.js';
import { assertSupported, type Storage } from '../core/storage.js';
import type { StrategyName } from '../strategies/strategy.js';

/** Maximum number of parsed limit texts in the cache. */
const MAX_CACHED_TEXTS = 1000;

/** Options of {@link ItemHits}. */
export interface ItemHitsOptions extends CalendarPosition {
  /** Capacity of token buckets. */
  readonly burst?: number | undefined;
}

/**
 * Creates hits on bare items, which differ by amount, multiples, granularity and strategy. Compiles
 * each item once.
 */
export class ItemHits {
  readonly #compiled = new WeakMap<RateLimitItem, Limit>();
  readonly #texts = new BoundedMap<readonly RateLimitItem[]>(MAX_CACHED_TEXTS);

  constructor(
    private readonly storage: Storage,
    private readonly strategy: StrategyName,
    private readonly options: ItemHitsOptions = {},
  ) {}

  /** Returns a promise only while `Temporal` is not loaded that calendar windows need. */
  hitsOf(limits: LimitInput, identifiers: readonly string[], cost: number): Awaitable<Hit[]> {
    return this.strategy === 'calendar-window' && !isTemporalLoaded()
      ? chain(loadTemporal(), () => this.#hitsOf(limits, identifiers, cost))
      : this.#hitsOf(limits, identifiers, cost);
  }

  #hitsOf(limits: LimitInput, identifiers: readonly string[], cost: number): Hit[] {
    if (isItem(limits)) return [this.#hitOn(limits, identifiers, cost)];
    const batch = this.#itemsOf(limits).map((item) => this.#hitOn(item, identifiers, cost));
    if (batch.length > 1) assertDistinct(batch);
    return batch;
  }

  #hitOn(item: RateLimitItem, identifiers: readonly string[], cost: number): Hit {
    return { identity: boundedIdentity(item.identityFor(identifiers)), limit: this.#limitOf(item), cost };
  }

  #itemsOf(input: LimitInput): readonly RateLimitItem[] {
    if (typeof input === 'string') return this.#itemsOfText(input);
    return isTexts(input) ? input.flatMap((text) => this.#itemsOfText(text)) : itemsOf(input);
  }

  #itemsOfText(text: string): readonly RateLimitItem[] {
    if (text === UNLIMITED)
      throw new ConfigurationError(
        'The limits "unlimited" count nothing. They are for declarations, plans and functions of policies.',
      );
    return this.#texts.getOrMake(text, itemsOf);
  }

  #limitOf(item: RateLimitItem): Limit {
    let limit = this.#compiled.get(item);
    if (limit === undefined) {
      const { amount, period, multiples, granularity } = item;
      const strategy = isConcurrent(item) ? 'concurrency' : this.strategy;
      const id = itemLimitId(item.cell, strategy);
      limit = createLimit({
        id,
        name: item.toString(),
        policy: 'items',
        strategy,
        amount,
        period,
        burst: strategy === this.strategy ? this.options.burst : undefined,
        calendar:
          strategy === 'calendar-window'
            ? calendarOptions(granularity.name, multiples, this.options)
            : undefined,
      });
      assertSupported(this.storage, limit);
      this.#compiled.set(item, limit);
    }
    return limit;
  }
}

function isTexts(input: LimitInput): input is readonly string[] {
  return Array.isArray(input) && input.length > 0 && input.every((one) => typeof one === 'string');
}

function assertDistinct(batch: readonly Hit[]): void {
  const isRepeated = ({ identity, limit }: Hit, index: number): boolean =>
    batch.findIndex((other) => other.limit.id === limit.id && other.identity === identity) < index;
  if (batch.some(isRepeated)) {
    throw new ConfigurationError(
      `The limits "${batch.map((hit) => hit.limit.name).join('; ')}" name one of them twice. Remove the repetition.`,
    );
  }
}
