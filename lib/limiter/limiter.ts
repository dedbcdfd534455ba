import { chain, isPromise, type Awaitable } from '../common/awaitable.js';
import { ConfigurationError } from '../common/errors.js';
import { assertCost, type BatchResult, type Hit } from '../core/contract.js';
import type { LimitWait } from '../core/limit.js';
import { announceReturn } from '../core/returned-units.js';
import type { Storage } from '../core/storage.js';
import { decideOnce } from '../core/wrapped.storage.js';
import { Decision, isDecision } from '../core/decision.js';
import { costsByPolicy, settleDecision } from './settle-decision.js';
import { assertWait, queueOf, type WaitedResult, type WaitOptions } from './fair-queue.js';
import { slotsTakenBy } from './held-slots.js';
import { Meter, type MeterOptions } from './meter.js';
import { Slot } from './slot.js';

/** The identity of a hit: any number of identifiers, or an array of them followed by options. */
export type HitArguments = readonly string[] | [identifiers: readonly string[], options?: HitOptions];

/** Options of a single hit. */
export interface HitOptions {
  /** Units to take; a whole number. Default: 1. */
  cost?: number | undefined;
}

/** The state of a limit. */
export interface WindowStats {
  /** Epoch ms at which `remaining` next grows; now, if nothing is consumed. */
  resetTime: number;
  /** Whole units that could be consumed now; never negative. */
  remaining: number;
}

/**
 * Counts, tests, meters and refunds hits on limits in a storage. Returns values with a memory storage and
 * promises with any other; `await` handles both.
 *
 * Limits of concurrent requests are taken by `acquire`. Methods that take or return units throw `ConfigurationError` for them.
 *
 * Every method throws `RangeError` for a cost that is not a whole number from 0, `TypeError` for an
 * identifier that is not a string, and `StorageError` when the store fails.
 */
export abstract class Limiter<Limits> {
  protected constructor(
    /** The storage that counts the limits. */
    readonly storage: Storage,
  ) {}

  /** Returns the hits for limits and identifiers. */
  protected abstract hitsOf(limits: Limits, identifiers: readonly string[], cost: number): Awaitable<Hit[]>;

  /** Takes a hit; returns true if it was allowed. */
  hit(limits: Limits, ...args: HitArguments): Awaitable<boolean> {
    return chain(this.#consume(limits, args), isAllowed);
  }

  /** Returns true if a hit would be allowed; takes nothing. */
  test(limits: Limits, ...args: HitArguments): Awaitable<boolean> {
    return chain(this.#peek(limits, args), isAllowed);
  }

  /** Takes a hit; returns the decision. */
  consume(limits: Limits, ...args: HitArguments): Awaitable<Decision> {
    return chain(this.#consume(limits, args), decisionOn);
  }

  /** Returns the decision that `consume` would return; takes nothing. */
  peek(limits: Limits, ...args: HitArguments): Awaitable<Decision> {
    return chain(this.#peek(limits, args), decisionOn);
  }

  /**
   * Takes a hit as soon as it is allowed. Callers in this process that wait for the same limit and identity are served in order, and only
   * the first of them calls the store. A caller whose wait is certain to be too long is refused at once.
   *
   * @throws WaitTimeoutError as soon as `maxWait` is known to be too short, or if `maxQueue` others wait; the reason of `signal`
   * when it is aborted; RangeError for a `maxWait` that is not a number from 0, or a `maxQueue` that is not a whole number from 1
   * @example
   * ```ts
   * import { MemoryStorage, TokenBucketRateLimiter } from 'nestjs-limits';
   *
   * const limiter = new TokenBucketRateLimiter(new MemoryStorage());
   * await limiter.waitFor('10/second', ['mails'], { cost: 2, maxWait: 5000, maxQueue: 100 });
   * ```
   */
  async waitFor(
    limits: Limits,
    identifiers: readonly string[],
    { cost = 1, maxWait = Infinity, maxQueue = Infinity, signal }: HitOptions & WaitOptions = {},
  ): Promise<Decision> {
    const batch = assertNoSlots(await this.#batch(limits, [identifiers, { cost }]));
    assertWait({ maxWait, maxQueue });
    const result = await this.#wait(batch, { maxWait, maxQueue }, signal);
    if (result.gaveUp !== undefined) throw result.gaveUp;
    return new Decision(result);
  }

  /**
   * Takes slots of concurrent requests, and holds them until they are released. A refusal is not an error: look at `slot.allowed`.
   * Other limits among the given ones count as usual, all or none. While the work goes on, this process renews the slots at a third of
   * their hold; if the process dies, they are free after it.
   *
   * With `maxWait`, waits for a slot, in a line with other callers in this process.
   *
   * @param options `cost`: slots to take, default 1; `maxWait`: longest wait in ms, default 0; `maxQueue`: most callers that may wait,
   * default no maximum; `signal`: stops waiting
   * @throws ConfigurationError if none of the limits is one of concurrent requests; the reason of `signal` when it is aborted;
   * RangeError for a `maxWait` that is not a number from 0, or a `maxQueue` that is not a whole number from 1
   * @example
   * ```ts
   * import { FixedWindowRateLimiter, MemoryStorage } from 'nestjs-limits';
   *
   * const limiter = new FixedWindowRateLimiter(new MemoryStorage());
   *
   * async function exportAll(userId: string) {
   *   await using slot = await limiter.acquire('5 concurrent', ['exports', userId], { maxWait: 2000 });
   *   if (!slot.allowed) throw new Error('Five of your exports are running.');
   * }
   * ```
   */
  async acquire(
    limits: Limits,
    identifiers: readonly string[],
    { cost = 1, maxWait = 0, maxQueue = Infinity, signal }: HitOptions & WaitOptions = {},
  ): Promise<Slot> {
    const found = this.#batch(limits, [identifiers, { cost }]);
    const batch = isPromise(found) ? await found : found;
    if (!batch.some(isSlot))
      throw new ConfigurationError(
        `acquire takes slots, and "${batch.map(({ limit }) => limit.name).join('; ')}" has none. Add a limit such as "5 concurrent", or call consume.`,
      );
    assertWait({ maxWait, maxQueue });
    const waits = maxWait > 0 || signal !== undefined || !queueOf(this.storage).isEmpty;
    const result = await (waits
      ? this.#wait(batch, { maxWait, maxQueue }, signal)
      : this.storage.consume(batch));
    return new Slot(new Decision(result), slotsTakenBy(this.storage, result)?.keep());
  }

  /**
   * Opens a meter, for work whose cost becomes known while it runs. It takes units in steps, and
   * refunds the unused units of the last one when it ends. It keeps the limits that apply when it is
   * opened.
   *
   * @throws RangeError for a `step` that is not a whole number from 1; ConfigurationError for limits of
   * concurrent requests
   * @example
   * ```ts
   * import { FixedWindowRateLimiter, MemoryStorage } from 'nestjs-limits';
   *
   * const limiter = new FixedWindowRateLimiter(new MemoryStorage());
   *
   * async function* deliver(tokens: AsyncIterable<string>, orgId: string) {
   *   await using meter = await limiter.meter('100000/day', ['tokens', orgId], { step: 200 });
   *   for await (const token of tokens) {
   *     if (!(await meter.add(1))) return;
   *     yield token;
   *   }
   * }
   * ```
   */
  async meter(limits: Limits, identifiers: readonly string[], { step }: MeterOptions): Promise<Meter> {
    return new Meter(this.storage, assertNoSlots(await this.#batch(limits, [identifiers])), step);
  }

  /** Returns the state of the limit; for several limits, of the one with the least remaining. */
  getWindowStats(limits: Limits, ...args: HitArguments): Awaitable<WindowStats> {
    const [identifiers] = splitArguments(args);
    return chain(this.peek(limits, identifiers, { cost: 0 }), ({ resetTime, remaining }) => ({
      resetTime,
      remaining,
    }));
  }

  /**
   * Settles a decision to its actual cost, once that is known. The hit stays admitted: a higher
   * cost is charged even if it exceeds the limit. Can be called again; the latest cost counts. Does
   * nothing if the window of the hit has ended.
   *
   * @param actual units; for a decision with several policies, units by policy name. A policy that
   * is not named keeps its cost
   * @returns the decision with the new counts
   * @throws ConfigurationError for a policy that the decision does not have, or for one cost for
   * several policies; RangeError for a cost that is not a whole number from 0, or that exceeds what
   * a token bucket can hold
   * @example
   * ```ts
   * import { MemoryStorage, TokenBucketRateLimiter } from 'nestjs-limits';
   *
   * const limiter = new TokenBucketRateLimiter(new MemoryStorage());
   * const decision = await limiter.consume('100000/day', ['tokens', 'acme'], { cost: 1000 });
   * if (decision.allowed) await limiter.settle(decision, 812);
   * ```
   */
  settle(decision: Decision, actual: number | Readonly<Record<string, number>>): Awaitable<Decision> {
    const costs = costsByPolicy(decision, actual);
    return settleDecision(this.storage, decision, ({ limit }) => costs.get(limit.policy));
  }

  /** Settles a decision to 0, if the window that counts it has not ended. */
  refund(decision: Decision): Awaitable<void>;
  /** Returns the cost to the current window. */
  refund(limits: Limits, ...args: HitArguments): Awaitable<void>;
  refund(given: Decision | Limits, ...args: HitArguments): Awaitable<void> {
    const settled: Awaitable<unknown> = isDecision(given)
      ? settleDecision(this.storage, given, () => 0)
      : chain(this.#batch(given, args), (batch) =>
          chain(
            this.storage.settle(
              assertNoSlots(batch).map((hit) => ({ ...hit, window: 'current' as const, actual: 0 })),
            ),
            () => announceReturn(this.storage, batch),
          ),
        );
    return chain(settled, () => undefined);
  }

  /** Removes the counts. */
  clear(limits: Limits, ...args: HitArguments): Awaitable<void> {
    return chain(this.#batch(limits, args), (batch) =>
      chain(this.storage.remove(batch), () => announceReturn(this.storage, batch)),
    );
  }

  #wait(batch: readonly Hit[], wait: LimitWait, signal: AbortSignal | undefined): Promise<WaitedResult> {
    return decideOnce(this.storage, (storage) =>
      queueOf(this.storage).wait({
        batch,
        storage,
        consume: () => storage.consume(batch),
        waitOf: () => wait,
        signal,
      }),
    );
  }

  #consume(limits: Limits, args: HitArguments): Awaitable<BatchResult> {
    const batch = this.#batch(limits, args);
    return isPromise(batch)
      ? batch.then((hits) => this.storage.consume(assertNoSlots(hits)))
      : this.storage.consume(assertNoSlots(batch));
  }

  #peek(limits: Limits, args: HitArguments): Awaitable<BatchResult> {
    const batch = this.#batch(limits, args);
    return isPromise(batch) ? batch.then((hits) => this.storage.peek(hits)) : this.storage.peek(batch);
  }

  #batch(limits: Limits, args: HitArguments): Awaitable<Hit[]> {
    if (!Array.isArray(args[0])) return this.hitsOf(limits, args as readonly string[], 1);
    const [identifiers, { cost = 1 } = {}] = splitArguments(args);
    assertCost(cost);
    return this.hitsOf(limits, identifiers, cost);
  }
}

function isAllowed({ allowed }: BatchResult): boolean {
  return allowed;
}

function decisionOn(result: BatchResult): Decision {
  return new Decision(result);
}

function isSlot({ limit }: Hit): boolean {
  return limit.strategy === 'concurrency';
}

/** @throws ConfigurationError for slots, which are held until they are released */
function assertNoSlots(batch: Hit[]): Hit[] {
  if (!batch.some(isSlot)) return batch;
  throw new ConfigurationError(
    `The limit "${batch.find(isSlot)?.limit.name}" counts concurrent requests, whose slots are held until they are released. Take them with acquire: ` +
      'await using slot = await limiter.acquire(limits, identifiers).',
  );
}

function splitArguments(args: HitArguments): [identifiers: readonly string[], options?: HitOptions] {
  return Array.isArray(args[0]) ? (args as [readonly string[], HitOptions?]) : [args as readonly string[]];
}
