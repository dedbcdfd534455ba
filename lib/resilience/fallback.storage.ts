import { chain, isPromise, type Awaitable } from '../common/awaitable.js';
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
 */
export class FallbackStorage extends WrappedStorage {
  readonly #local = new MemoryStorage();
  /** The local share of each limit. */
  readonly #shares = new WeakMap<Limit, Limit>();
  readonly #isShare = new WeakSet<Limit>();

  constructor(
    inner: Storage,
    private readonly options: FallbackStorageOptions,
  ) {
    super(inner);
  }

  override consume(batch: readonly Hit[], onError = this.options.onError): Awaitable<BatchResult> {
    return recovered(
      () => this.inner.consume(batch),
      (error) => this.#decide(batch, onError, error),
    );
  }

  override peek(batch: readonly Hit[]): Awaitable<BatchResult> {
    const { onError } = this.options;
    return recovered(
      () => this.inner.peek(batch),
      (error) => {
        if (onError === 'deny') throw error;
        return onError === 'allow'
          ? allowed(batch, this.clock.now())
          : { ...this.#local.peek(this.#sharesOf(batch)), degraded: 'fallback' };
      },
    );
  }

  /** Settles each hit where it was counted. */
  override settle(settlements: readonly Settlement[]): Awaitable<BatchResult> {
    const local = settlements.filter(({ limit }) => this.#isShare.has(limit));
    if (local.length === 0) return this.inner.settle(settlements);
    const settled = this.#local.settle(local);
    if (local.length === settlements.length) return { ...settled, degraded: 'fallback' };
    const remote = settlements.filter(({ limit }) => !this.#isShare.has(limit));
    return chain(this.inner.settle(remote), (result) =>
      joinResults(settlements, [local, remote], [settled, result]),
    );
  }

  /** Also lifts local blocks. Sets blocks on the store only. */
  override block(blocks: readonly Block[]): Awaitable<void> {
    this.#local.block(this.#sharesOf(blocks.filter(({ duration }) => duration === 0)));
    return this.inner.block(blocks);
  }

  override remove(cells: readonly Cell[]): Awaitable<void> {
    this.#local.remove(this.#sharesOf(cells));
    return this.inner.remove(cells);
  }

  override removeLimits(limits: readonly Limit[]): Awaitable<void> {
    this.#local.removeLimits(limits.map((limit) => this.#shareOf(limit)));
    return this.inner.removeLimits(limits);
  }

  override reset(): Awaitable<number> {
    this.#local.reset();
    return this.inner.reset();
  }

  /** Closes the inner storage first. Calls that fail then are still decided locally. */
  override close(): Awaitable<void> {
    return chain(this.inner.close(), () => this.#local.close());
  }

  #decide(batch: readonly Hit[], onError: OnError, error: StorageError): BatchResult {
    if (onError === 'allow') return allowed(batch, this.clock.now());
    if (onError === 'deny') {
      this.#withdrawLate(error);
      throw error;
    }
    const result = this.#local.consume(this.#sharesOf(batch));
    if (!result.allowed) this.#withdrawLate(error);
    return { ...result, degraded: 'fallback' };
  }

  /** Refunds a hit that the store counted late, after its request was refused here. */
  #withdrawLate(error: StorageError): void {
    if (!(error instanceof LateAnswerError)) return;
    const withdraw = async (): Promise<void> => {
      const receipts = receiptsOf((await error.answer) as BatchResult);
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
      this.#isShare.add(share);
    }
    return share;
  }

  #part(amount: number): number {
    return amount === 0 ? 0 : Math.max(1, Math.floor(amount / this.options.instances));
  }
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
