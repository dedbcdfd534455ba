import { all, attempt, chain, isPromise, type Awaitable } from '../common/awaitable.js';
import { isStorageError, type StorageError } from '../common/errors.js';
import {
  bareHit,
  receiptsOf,
  withdrawn,
  type BatchResult,
  type Block,
  type Cell,
  type Hit,
  type OnError,
  type Settlement,
} from '../core/contract.js';
import { createLimit, type Limit } from '../core/limit.js';
import { joinResults } from '../core/batch-parts.js';
import { MemoryStorage } from '../storages/memory/memory.storage.js';
import type { Storage } from '../core/storage.js';
import { LateAnswerError } from './circuit-breaker.storage.js';
import { WrappedStorage } from '../core/wrapped.storage.js';

export interface FallbackStorageOptions {
  /** Default for batches without their own setting. */
  readonly onError: OnError;
  /** Number of processes that share a limit. In fallback each process counts its share. */
  readonly instances: number;
}

/**
 * Decides batches that the store could not decide. Local counts live until their windows end, even
 * if the store fails and recovers repeatedly. So each process admits at most one share per window
 * in addition to the hits that the store admits.
 *
 * Slots of concurrent requests that the store has counted are counted locally too, so that they are part of the share during an outage.
 * A slot that was taken during one is registered with the store by its first renewal afterwards, above the limit if need be.
 */
export class FallbackStorage extends WrappedStorage {
  /** Counts in this process. */
  readonly local = new MemoryStorage();
  /** The local share of each limit. */
  readonly #shares = new WeakMap<Limit, Limit>();
  /** The limit of each local share. */
  readonly #originals = new WeakMap<Limit, Limit>();

  constructor(
    inner: Storage,
    private readonly options: FallbackStorageOptions,
  ) {
    super(inner);
  }

  override consume(batch: readonly Hit[], onError = this.options.onError): Awaitable<BatchResult> {
    const answer = recovered(
      () => this.inner.consume(batch),
      (error) => this.#decide(batch, onError, error),
    );
    return batch.some(isSlot) ? chain(answer, (result) => this.#countLocally(result)) : answer;
  }

  override peek(batch: readonly Hit[]): Awaitable<BatchResult> {
    const { onError } = this.options;
    return recovered(
      () => this.inner.peek(batch),
      (error) => {
        if (onError === 'deny') throw error;
        return onError === 'allow'
          ? allowed(batch, this.clock.now())
          : { ...this.local.peek(this.#sharesOf(batch)), degraded: 'fallback' };
      },
    );
  }

  /** Settles each hit where it was counted. */
  override settle(settlements: readonly Settlement[]): Awaitable<BatchResult> {
    const local = settlements.filter(({ limit }) => this.#originals.has(limit));
    const remote = local.length === 0 ? settlements : settlements.filter((one) => !local.includes(one));
    const slots = remote.filter(isSlot);
    if (slots.length > 0) this.local.settle(this.#sharesOf(slots));
    if (local.length === 0) return this.inner.settle(remote);
    const renewals = local.filter((one) => isSlot(one) && one.actual > 0);
    const others = local.filter((one) => !renewals.includes(one));
    const parts = [others, remote, ...renewals.map((one) => [one])].filter((part) => part.length > 0);
    const results = parts.map((part) => {
      if (part === others) return this.local.settle(part);
      return part === remote ? this.inner.settle(part) : this.#register(part);
    });
    return chain(all(results), (settled) => {
      const result = joinResults(settlements, parts, settled);
      return remote.length === 0 ? { ...result, degraded: 'fallback' } : result;
    });
  }

  /** Also lifts local blocks. Sets blocks on the store only. */
  override block(blocks: readonly Block[]): Awaitable<void> {
    this.local.block(this.#sharesOf(blocks.filter(({ duration }) => duration === 0)));
    return this.inner.block(blocks);
  }

  override remove(cells: readonly Cell[]): Awaitable<void> {
    this.local.remove(this.#sharesOf(cells));
    return this.inner.remove(cells);
  }

  override removeLimits(limits: readonly Limit[]): Awaitable<void> {
    this.local.removeLimits(limits.map((limit) => this.#shareOf(limit)));
    return this.inner.removeLimits(limits);
  }

  override reset(): Awaitable<number> {
    this.local.reset();
    return this.inner.reset();
  }

  /** Closes the inner storage first. Calls that fail then are still decided locally. */
  override close(): Awaitable<void> {
    return chain(this.inner.close(), () => this.local.close());
  }

  #decide(batch: readonly Hit[], onError: OnError, error: StorageError): BatchResult {
    if (onError === 'allow') {
      this.#withdrawLate(error, isSlot);
      return allowed(batch, this.clock.now());
    }
    if (onError === 'deny') {
      this.#withdrawLate(error);
      throw error;
    }
    const result = this.local.consume(this.#sharesOf(batch));
    this.#withdrawLate(error, result.allowed ? isSlot : undefined);
    return { ...result, degraded: 'fallback' };
  }

  /** Counts the slots locally that the store has counted. */
  #countLocally(result: BatchResult): BatchResult {
    const taken = receiptsOf(result).filter(
      (receipt) => isSlot(receipt) && !this.#originals.has(receipt.limit),
    );
    if (taken.length > 0)
      this.local.settle(
        this.#sharesOf(taken).map((receipt) => ({ ...receipt, cost: 0, actual: receipt.cost })),
      );
    return result;
  }

  /** Renews a local slot: registers it with the store, or extends it here if the store does not answer. */
  #register(renewal: readonly Settlement[]): Awaitable<BatchResult> {
    const stored = renewal.map((one) => ({
      ...one,
      limit: this.#originals.get(one.limit) ?? one.limit,
      cost: 0,
      window: undefined,
    }));
    const extend = (): BatchResult => this.local.settle(renewal);
    const registered = chain(
      attempt(() => this.inner.settle(stored as readonly Settlement[])),
      (result) => {
        if (result.degraded !== undefined) return extend();
        this.local.settle(renewal.map((one) => ({ ...one, actual: 0 })));
        return this.#countLocally(result);
      },
    );
    return isPromise(registered) ? registered.catch(extend) : registered;
  }

  /**
   * Refunds what the store counted late: all of a request that was refused here, and the slots of one that was admitted, which
   * releases others.
   */
  #withdrawLate(error: StorageError, which: (cell: Cell) => boolean = () => true): void {
    if (!(error instanceof LateAnswerError)) return;
    const withdraw = async (): Promise<void> => {
      const receipts = receiptsOf((await error.answer) as BatchResult).filter(which);
      if (receipts.length > 0) await this.inner.settle(withdrawn(receipts));
    };
    withdraw().catch(() => undefined); // stays counted, like any hit whose answer was lost
  }

  #sharesOf<C extends Cell>(cells: readonly C[]): C[] {
    return cells.map((cell) => ({ ...cell, limit: this.#shareOf(cell.limit) }));
  }

  #shareOf(limit: Limit): Limit {
    let share = this.#shares.get(limit);
    if (share === undefined) {
      const { amount, burst, strategy, ...rest } = limit;
      share = createLimit({
        ...rest,
        strategy,
        amount: this.#part(amount),
        burst: strategy === 'token-bucket' && amount > 0 ? this.#part(burst) : undefined,
      });
      this.#shares.set(limit, share);
      this.#originals.set(share, limit);
    }
    return share;
  }

  #part(amount: number): number {
    return amount === 0 ? 0 : Math.max(1, Math.floor(amount / this.options.instances));
  }
}

function isSlot({ limit }: Cell): boolean {
  return limit.strategy === 'concurrency';
}

function allowed(batch: readonly Hit[], now: number): BatchResult {
  const outcomes = batch.map((hit) => ({
    ...bareHit(hit),
    allowed: true,
    remaining: Math.max(0, hit.limit.burst - hit.cost),
    resetTime: now,
    retryAfter: 0,
    taken: false,
    window: undefined,
  }));
  return { allowed: true, now, outcomes, degraded: 'allow' };
}

/** Calls a store and handles its errors. Rethrows other errors. */
function recovered<T>(call: () => Awaitable<T>, otherwise: (error: StorageError) => T): Awaitable<T> {
  const recover = (error: unknown): T => {
    if (isStorageError(error)) return otherwise(error);
    throw error;
  };
  try {
    const answer = call();
    return isPromise(answer) ? answer.catch(recover) : answer;
  } catch (error) {
    return recover(error);
  }
}
