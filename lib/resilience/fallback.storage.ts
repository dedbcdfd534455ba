import { chain, isPromise, type Awaitable } from '../common/awaitable.js';
import { isStorageError, type StorageError } from '../common/errors.js';
import {
  bareHit,
  receiptsOf,
  type BatchResult,
  type Block,
  type Cell,
  type Hit,
  type Refund,
  type OnError,
} from '../core/contract.js';
import { createLimit, type Limit } from '../core/limit.js';
import { MemoryStorage } from '../storages/memory/memory.storage.js';
import type { Storage } from '../core/storage.js';
import { LateAnswerError } from './circuit-breaker.storage.js';
import { WrappedStorage } from '../core/wrapped.storage.js';

export interface FallbackStorageOptions {
  /** For whoever does not say it for a batch. */
  readonly onError: OnError;
  /** Over how many processes a limit is spread, of which each counts its share. */
  readonly instances: number;
}

/** Decides batches that the store could not decide. */
export class FallbackStorage extends WrappedStorage {
  readonly #local = new MemoryStorage();
  /** Limits by those that they are a share of. */
  readonly #shares = new WeakMap<Limit, Limit>();
  readonly #isShare = new WeakSet<Limit>();

  constructor(
    inner: Storage,
    private readonly options: FallbackStorageOptions,
  ) {
    super(inner);
  }

  /** Forgets what was counted while the store could not. */
  recover(): void {
    this.#local.reset();
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

  /** What was taken here is given back here. */
  override refund(refunds: readonly Refund[]): Awaitable<void> {
    const local = refunds.filter(({ limit }) => this.#isShare.has(limit));
    if (local.length > 0) this.#local.refund(local);
    return local.length < refunds.length
      ? this.inner.refund(refunds.filter(({ limit }) => !this.#isShare.has(limit)))
      : undefined;
  }

  /** A block that is lifted is lifted here too. */
  override block(blocks: readonly Block[]): Awaitable<void> {
    this.#local.block(this.#sharesOf(blocks.filter(({ duration }) => duration === 0)));
    return this.inner.block(blocks);
  }

  override remove(cells: readonly Cell[]): Awaitable<void> {
    this.#local.remove(this.#sharesOf(cells));
    return this.inner.remove(cells);
  }

  override reset(): Awaitable<number> {
    this.#local.reset();
    return this.inner.reset();
  }

  /** Decides to the end what the store leaves undecided. */
  override close(): Awaitable<void> {
    return chain(this.inner.close(), () => this.#local.close());
  }

  #decide(batch: readonly Hit[], onError: OnError, error: StorageError): BatchResult {
    if (onError === 'allow') return allowed(batch, this.clock.now());
    if (onError === 'deny') {
      this.#giveBackLater(error);
      throw error;
    }
    const result = this.#local.consume(this.#sharesOf(batch));
    if (!result.allowed) this.#giveBackLater(error);
    return { ...result, degraded: 'fallback' };
  }

  /** What a store counts for a request that has been refused meanwhile. */
  #giveBackLater(error: StorageError): void {
    if (!(error instanceof LateAnswerError)) return;
    const giveBack = async (): Promise<void> => {
      const receipts = receiptsOf((await error.answer) as BatchResult);
      if (receipts.length > 0) await this.inner.refund(receipts);
    };
    giveBack().catch(() => undefined); // then it counts, as a hit whose answer is lost always may
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
    window: undefined,
  }));
  return { allowed: true, now, outcomes, degraded: 'allow' };
}

/** Answers otherwise where a store fails; nothing else that is thrown is the store's fault. */
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
