import { chain, type Awaitable } from '../common/awaitable.js';
import { ConfigurationError } from '../common/errors.js';
import { describeValue } from '../common/identifier.js';
import { parseMany } from '../limits/parse.js';
import type { RateLimitItem } from '../limits/rate-limit-item.js';
import type { Hit } from '../storages/contract.js';
import { createLimit, type Limit } from '../storages/limit.js';
import { assertSupported, itemLimitId, type Storage } from '../storages/storage.js';
import type { StrategyName } from '../strategies/strategy.js';
import { Decision } from './decision.js';

/** A limit in any form: an item, several, or the notation of one or several. Several are decided together, all or none. */
export type LimitInput = string | RateLimitItem | readonly RateLimitItem[];

/** What a limit is counted for: any number of identifiers, or an array of them followed by options. */
export type HitArguments = readonly string[] | [identifiers: readonly string[], options?: HitOptions];

export interface HitOptions {
  /** Units to take; a whole number. Default: 1. */
  cost?: number;
}

/** How much of a limit is left. */
export interface WindowStats {
  /** Epoch ms at which `remaining` grows next; now, if nothing is consumed. */
  resetTime: number;
  /** Whole units that could be consumed now; never negative. */
  remaining: number;
}

/** Texts of limits that a limiter remembers; beyond that it reads them anew. */
const MOST_REMEMBERED_TEXTS = 1000;

/**
 * Counts hits on limits in a storage by one strategy. Answers at once over memory storage and with a promise elsewhere;
 * `await` reads both.
 *
 * Every method throws `RateLimitParseError` for a malformed limit, `ConfigurationError` for one that the strategy or the
 * storage cannot keep, `RangeError` for a cost that is not a whole number from 0, `TypeError` for an identifier that is not
 * a string, and `StorageError` when the store fails.
 */
export abstract class RateLimiter {
  readonly #compiled = new WeakMap<RateLimitItem, Limit>();
  readonly #texts = new Map<string, readonly RateLimitItem[]>();
  readonly #refunded = new WeakSet<Decision>();

  protected constructor(
    readonly storage: Storage,
    readonly strategy: StrategyName,
    private readonly burst?: number | undefined,
  ) {
    if (!storage.capabilities.strategies.includes(strategy)) {
      throw new ConfigurationError(
        `${storage} has no strategy "${strategy}". It has: ${storage.capabilities.strategies.join(', ')}.`,
      );
    }
  }

  /** Takes a hit; answers whether it was allowed. */
  hit(limit: LimitInput, ...args: HitArguments): Awaitable<boolean> {
    return chain(this.storage.consume(this.#batch(limit, args)), (result) => result.allowed);
  }

  /** Answers whether a hit would be allowed; takes nothing. */
  test(limit: LimitInput, ...args: HitArguments): Awaitable<boolean> {
    return chain(this.storage.peek(this.#batch(limit, args)), (result) => result.allowed);
  }

  /** Takes a hit; answers all there is to know of it. */
  consume(limit: LimitInput, ...args: HitArguments): Awaitable<Decision> {
    return chain(this.storage.consume(this.#batch(limit, args)), (result) => new Decision(result));
  }

  /** Answers what `consume` would; takes nothing. */
  peek(limit: LimitInput, ...args: HitArguments): Awaitable<Decision> {
    return chain(this.storage.peek(this.#batch(limit, args)), (result) => new Decision(result));
  }

  /** How much is left; of several limits, of the one with the least. */
  getWindowStats(limit: LimitInput, ...args: HitArguments): Awaitable<WindowStats> {
    const [identifiers] = splitArguments(args);
    return chain(this.peek(limit, identifiers, { cost: 0 }), ({ resetTime, remaining }) => ({
      resetTime,
      remaining,
    }));
  }

  /**
   * Gives back what a decision consumed, where the window it was taken from still counts; once, however often it is called.
   * Without a decision, gives the cost back to the current window.
   */
  refund(decision: Decision): Awaitable<void>;
  refund(limit: LimitInput, ...args: HitArguments): Awaitable<void>;
  refund(given: Decision | LimitInput, ...args: HitArguments): Awaitable<void> {
    if (!(given instanceof Decision)) {
      return this.storage.refund(
        this.#batch(given, args).map((hit) => ({ ...hit, window: 'current' as const })),
      );
    }
    if (this.#refunded.has(given)) return;
    this.#refunded.add(given);
    return this.storage.refund(given.receipts);
  }

  /** Forgets what was counted. */
  clear(limit: LimitInput, ...args: HitArguments): Awaitable<void> {
    return this.storage.remove(this.#batch(limit, args));
  }

  #batch(input: LimitInput, args: HitArguments): Hit[] {
    const [identifiers, { cost = 1 } = {}] = splitArguments(args);
    assertCost(cost);
    const batch = this.#itemsOf(input).map((item) => ({
      bucket: item.bucketFor(identifiers),
      limit: this.#limitOf(item),
      cost,
    }));
    if (batch.length > 1) assertDistinct(batch);
    return batch;
  }

  #itemsOf(input: LimitInput): readonly RateLimitItem[] {
    if (typeof input !== 'string') return asItems(input);
    const known = this.#texts.get(input);
    if (known !== undefined) return known;
    const items = parseMany(input);
    if (this.#texts.size < MOST_REMEMBERED_TEXTS) this.#texts.set(input, items);
    return items;
  }

  #limitOf(item: RateLimitItem): Limit {
    let limit = this.#compiled.get(item);
    if (limit === undefined) {
      const { amount, period } = item;
      const id = itemLimitId(item.cell, this.strategy);
      limit = createLimit({
        id,
        name: item.toString(),
        strategy: this.strategy,
        amount,
        period,
        burst: this.burst,
      });
      assertSupported(this.storage, limit);
      this.#compiled.set(item, limit);
    }
    return limit;
  }
}

/**
 * Refuses a cost that is not a whole number from 0.
 *
 * @throws RangeError
 */
export function assertCost(cost: unknown): asserts cost is number {
  if (!Number.isSafeInteger(cost) || (cost as number) < 0) {
    throw new RangeError(`The cost of a hit must be a whole number from 0; got ${describeValue(cost)}.`);
  }
}

/**
 * The items of an input that is not text.
 *
 * @throws ConfigurationError when it holds none, or something that is no item
 */
export function asItems(input: RateLimitItem | readonly RateLimitItem[]): readonly RateLimitItem[] {
  const items = isList(input) ? input : [input];
  const stranger = items.find(
    (item) => typeof (item as Partial<RateLimitItem> | undefined)?.bucketFor !== 'function',
  );
  if (items.length === 0 || stranger !== undefined) {
    throw new ConfigurationError(
      `A limit must be a text such as "10/minute", a RateLimitItem or a list of them; got ${items.length === 0 ? 'an empty list' : describeValue(stranger)}.`,
    );
  }
  return items;
}

function isList(input: RateLimitItem | readonly RateLimitItem[]): input is readonly RateLimitItem[] {
  return Array.isArray(input);
}

function splitArguments(args: HitArguments): [identifiers: readonly string[], options?: HitOptions] {
  return Array.isArray(args[0]) ? (args as [readonly string[], HitOptions?]) : [args as readonly string[]];
}

function assertDistinct(batch: readonly Hit[]): void {
  const ids = new Set(batch.map((hit) => `${hit.bucket} ${hit.limit.id}`));
  if (ids.size < batch.length) {
    throw new ConfigurationError(
      `The limits "${batch.map((hit) => hit.limit.name).join('; ')}" name one of them twice. Remove the repetition.`,
    );
  }
}
