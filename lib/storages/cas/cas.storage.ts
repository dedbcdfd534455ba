import type { Awaitable } from '../../common/awaitable.js';
import { strategyNames } from '../../strategies/strategies.js';
import type { BatchResult, Block, Cell, Hit, Refund, StorageCapabilities } from '../../core/contract.js';
import { identityKey, identityKeys } from '../identity-key.js';
import { closedError, failureOf, Storage, type StorageOptions } from '../../core/storage.js';
import { assertTimeout, DEFAULT_TIMEOUT_MS, queueTimeoutError, withTimeout } from '../../common/timeout.js';
import { RecordBatches, type Decide } from './record-batches.js';
import { retryUntilStored } from './retry-until-stored.js';

/** Options of every {@link CasStorage}. */
export interface CasStorageOptions extends StorageOptions {
  /** Ms within which a call is answered or fails, waiting for its turn and all attempts included. Default: 1000. */
  timeout?: number | undefined;
}

/** A stored text, and what its store calls its version. */
export interface VersionedText<Version> {
  /** As `compareAndSet` was given it. */
  text: string;
  /** What changes whenever the text is replaced, and is handed to `compareAndSet`. */
  version: Version;
}

/**
 * A storage over any store that can read a text with its version and replace it if the version is still the same. It runs
 * every strategy in this process, on all limits of one identity at once, and writes the outcome if nobody was faster.
 *
 * Concurrent calls of this process on one identity are combined into one compare-and-set, so that only processes contend.
 * A lost race is run again up to 16 times, with growing random pauses; then `ConcurrentUpdateError`. What the store has not
 * answered within the timeout fails with a `StorageError`; it may still be counted, but is never tried again.
 *
 * @example
 * ```ts
 * import { CasStorage, type VersionedText } from 'nestjs-limits';
 *
 * class MapStorage extends CasStorage<number> {
 *   readonly #texts = new Map<string, VersionedText<number>>();
 *
 *   protected read(key: string) {
 *     return this.#texts.get(key);
 *   }
 *   protected compareAndSet(key: string, text: string, version: number | undefined) {
 *     if (this.#texts.get(key)?.version !== version) return false;
 *     this.#texts.set(key, { text, version: (version ?? 0) + 1 });
 *     return true;
 *   }
 *   check() {
 *     return !this.closed;
 *   }
 *   protected removeAll() {
 *     const { size } = this.#texts;
 *     this.#texts.clear();
 *     return size;
 *   }
 * }
 * ```
 */
export abstract class CasStorage<Version> extends Storage {
  override readonly capabilities: StorageCapabilities = {
    atomicity: 'identity',
    clock: 'local',
    strategies: strategyNames,
    maxMovingWindow: 10_000,
  };
  /** Ms that a call may take. */
  protected readonly timeout: number;
  readonly #batches = new RecordBatches(this.clock, 1, ([identity = ''], decide, since) =>
    this.#transact(identityKey(this.keyPrefix, identity), decide, since),
  );
  #closed = false;

  /** @throws ConfigurationError when an option is impossible */
  constructor({ timeout = DEFAULT_TIMEOUT_MS, ...options }: CasStorageOptions = {}) {
    super(options);
    assertTimeout(String(this), timeout);
    this.timeout = timeout;
  }

  /** The text stored under a key; `undefined` when there is none. */
  protected abstract read(key: string): Awaitable<VersionedText<Version> | undefined>;

  /**
   * Stores a text under a key if its version is still the given one; `undefined` stands for no text. Answers whether it did.
   *
   * @param ttl ms after which the store may forget the text; never less, round up to what the store knows. 0 when the text
   *   says nothing any more
   */
  protected abstract compareAndSet(
    key: string,
    text: string,
    version: Version | undefined,
    ttl: number,
  ): Awaitable<boolean>;

  /**
   * Removes every text whose key begins so; returns how many. May take longer than the timeout, since there may be many: see to
   * it that it ends.
   */
  protected abstract removeAll(beginning: string): Awaitable<number>;

  /** Lets go of what this storage opened. Called once. */
  protected release(): Awaitable<void> {}

  override async consume(batch: readonly Hit[]): Promise<BatchResult> {
    return this.#batches.consume(batch);
  }

  override async peek(batch: readonly Hit[]): Promise<BatchResult> {
    return this.#batches.peek(batch);
  }

  override async refund(refunds: readonly Refund[]): Promise<void> {
    await this.#batches.refund(refunds);
  }

  override async block(blocks: readonly Block[]): Promise<void> {
    await this.#batches.block(blocks);
  }

  override async remove(cells: readonly Cell[]): Promise<void> {
    await this.#batches.remove(cells);
  }

  override async reset(): Promise<number> {
    return this.#call(async () => this.removeAll(identityKeys(this.keyPrefix)));
  }

  override async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.release();
  }

  /** Whether `close` has been called. */
  protected get closed(): boolean {
    return this.#closed;
  }

  async #transact(key: string, decide: Decide, since: number): Promise<void> {
    if (performance.now() >= since + this.timeout) throw queueTimeoutError(String(this), this.timeout);
    await this.#call(() =>
      withTimeout(
        this.timeout,
        (late) => retryUntilStored(this, () => this.#attempt(key, decide, late)),
        since,
      ),
    );
  }

  /** Answers whether nobody else was faster. */
  async #attempt(key: string, decide: Decide, late: AbortSignal): Promise<boolean> {
    this.#assertWanted(late);
    const stored = await this.read(key);
    const [write] = decide([stored?.text]);
    if (write === undefined) return true;
    this.#assertWanted(late);
    return this.compareAndSet(key, write.text, stored?.version, write.ttl);
  }

  /** Ends what nobody waits for any more. */
  #assertWanted(late: AbortSignal): void {
    late.throwIfAborted();
    if (this.#closed) throw closedError(this);
  }

  /** Calls the store, and turns what it throws into a `StorageError`. Never calls twice: the first call may have counted. */
  async #call<T>(call: () => Promise<T>): Promise<T> {
    if (this.#closed) throw closedError(this);
    try {
      return await call();
    } catch (cause) {
      throw failureOf(this, cause);
    }
  }
}
