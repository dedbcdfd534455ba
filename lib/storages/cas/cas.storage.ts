import { setTimeout as delay } from 'node:timers/promises';
import type { Awaitable } from '../../common/awaitable.js';
import { ConcurrentUpdateError, messageOf, RateLimitError, StorageError } from '../../common/errors.js';
import { strategyNames } from '../../strategies/strategies.js';
import { consumeBatch, peekBatch, refundBatch } from '../apply-batch.js';
import { consumeInParts, joinResults, partition } from '../consume-in-parts.js';
import type { BatchResult, Cell, Hit, Refund, StorageCapabilities } from '../contract.js';
import { closedError, Storage } from '../storage.js';
import { CasRecord } from './cas-record.js';
import { KeyedQueue } from './keyed-queue.js';

/** A stored text, and what its store calls its version. */
export interface VersionedText<Version> {
  text: string;
  version: Version;
}

/** How often a lost race is run again before giving up. */
const MOST_ATTEMPTS = 16;
/** Upper bound of the first random pause after a lost race, in ms; it doubles up to the longest. */
const FIRST_PAUSE = 1;
const LONGEST_PAUSE = 64;

type Step<T> = (record: CasRecord, now: number) => T;

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
  readonly #queue = new KeyedQueue<Step<unknown>, unknown>((key, steps) => this.#update(key, steps));
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
    const parts = partition(batch, bucketOf);
    return parts.length === 1
      ? this.#consumePart(batch)
      : consumeInParts(
          batch,
          parts,
          (part) => this.#consumePart(part),
          (refunds) => this.refund(refunds),
        );
  }

  override async peek(batch: readonly Hit[]): Promise<BatchResult> {
    const results = partition(batch, bucketOf).map(async (part) => {
      const stored = await this.#call(() => this.read(this.#keyOf(part)));
      return peekBatch(new CasRecord(stored?.text), part, this.clock.now());
    });
    return joinResults(batch, await Promise.all(results));
  }

  override async refund(refunds: readonly Refund[]): Promise<void> {
    await this.#updateEach(refunds, (part) => (record, now) => refundBatch(record, part, now));
  }

  override async remove(cells: readonly Cell[]): Promise<void> {
    await this.#updateEach(
      cells,
      (part) => (record) => part.forEach(({ limit }) => record.remove(limit, true)),
    );
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

  #consumePart(part: readonly Hit[]): Promise<BatchResult> {
    return this.#queue.add(this.#keyOf(part), (record, now) =>
      consumeBatch(record, part, now),
    ) as Promise<BatchResult>;
  }

  async #updateEach<C extends Cell>(
    cells: readonly C[],
    step: (part: readonly C[]) => Step<void>,
  ): Promise<void> {
    await Promise.all(
      partition(cells, bucketOf).map((part) => this.#queue.add(this.#keyOf(part), step(part))),
    );
  }

  /** Reads, takes the steps and writes; again from the start while somebody else was faster. */
  async #update(key: string, steps: readonly Step<unknown>[]): Promise<unknown[]> {
    for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
      if (attempt > 0) await delay(Math.random() * Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** attempt));
      const stored = await this.#call(() => this.read(key));
      const record = new CasRecord(stored?.text);
      const now = this.clock.now();
      const results = steps.map((step) => step(record, now));
      const { text, ttl } = record.write(now);
      if (text === (stored?.text ?? '{}')) return results;
      if (await this.#call(() => this.compareAndSet(key, text, stored?.version, ttl))) return results;
    }
    throw new ConcurrentUpdateError(
      `${this} lost ${MOST_ATTEMPTS} races in a row for one identity and counted nothing. Many processes hit it at once: ` +
        'use a storage that decides in one atomic step, such as Redis or MongoDB.',
    );
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

  #keyOf(part: readonly Cell[]): string {
    return `${this.keyPrefix}:${part[0]?.bucket ?? ''}`;
  }
}

function bucketOf(cell: Cell): string {
  return cell.bucket;
}
