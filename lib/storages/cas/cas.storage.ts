import type { Awaitable } from '../../common/awaitable.js';
import { messageOf, RateLimitError, StorageError } from '../../common/errors.js';
import { strategyNames } from '../../strategies/strategies.js';
import type { BatchResult, Cell, Hit, Refund, StorageCapabilities } from '../contract.js';
import { closedError, Storage } from '../storage.js';
import { RecordBatches, type Decide } from './record-batches.js';
import { untilWon } from './until-won.js';

/** A stored text, and what its store calls its version. */
export interface VersionedText<Version> {
  text: string;
  version: Version;
}

/**
 * A storage over any store that can read a text with its version and replace it if the version is still the same. It runs
 * every strategy in this process, on all limits of one identity at once, and writes the outcome if nobody was faster.
 *
 * Concurrent calls of this process on one identity are combined into one compare-and-set, so that only processes contend.
 * A lost race is run again up to 16 times, with growing random pauses; then `ConcurrentUpdateError`.
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
    atomicity: 'bucket',
    clock: 'local',
    strategies: strategyNames,
    largestMovingWindow: 10_000,
  };
  readonly #batches = new RecordBatches(this.clock, 1, ([bucket = ''], decide) =>
    this.#transact(`${this.keyPrefix}:${bucket}`, decide),
  );
  #closed = false;

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

  /** Removes every text whose key begins with our prefix; returns how many. */
  protected abstract removeAll(): Awaitable<number>;

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

  override async remove(cells: readonly Cell[]): Promise<void> {
    await this.#batches.remove(cells);
  }

  override async reset(): Promise<number> {
    return this.#call(() => this.removeAll());
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

  async #transact(key: string, decide: Decide): Promise<void> {
    await untilWon(this, async () => {
      const stored = await this.#call(() => this.read(key));
      const [write] = decide([stored?.text]);
      if (write === undefined) return true;
      return this.#call(() => this.compareAndSet(key, write.text, stored?.version, write.ttl));
    });
  }

  /** Calls the store, and turns what it throws into a `StorageError`. Never calls twice: the first call may have counted. */
  async #call<T>(call: () => Awaitable<T>): Promise<T> {
    if (this.#closed) throw closedError(this);
    try {
      return await call();
    } catch (cause) {
      if (cause instanceof RateLimitError) throw cause;
      throw new StorageError(`${this} failed: ${messageOf(cause)}`, { cause });
    }
  }
}
