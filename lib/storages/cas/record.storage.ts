import { blockBatch, consumeBatch, peekBatch, settleBatch } from '../apply-batch.js';
import { consumeInParts, joinResults, partition } from '../../core/batch-parts.js';
import type { BatchResult, Block, Cell, Hit, Settlement } from '../../core/contract.js';
import type { Awaitable } from '../../common/awaitable.js';
import type { Limit } from '../../core/limit.js';
import { identityKeys, ServerStorage } from '../server.storage.js';
import type { Write } from './cas-record.js';
import { CasRecords } from './cas-records.js';
import { KeyedBatcher } from './keyed-batcher.js';

/**
 * Returns the texts to store for some identities, given their stored texts and, if the storage
 * counts by it, the server's time. Texts are in the order of the identities; `undefined` means no
 * text, or no change.
 */
export type Decide = (texts: readonly (string | undefined)[], now?: number) => readonly (Write | undefined)[];

/** The operation of one call on the records of its identities. */
type Step<T> = (records: CasRecords, now: number) => T;

/** Identities whose cells are removed together, so that none waits longer than a call may take. */
const REMOVALS_TOGETHER = 100;

interface QueuedStep {
  readonly step: Step<unknown>;
  readonly since: number;
}

/**
 * Base class of storages that keep one text per identity on a server and decide batches in this
 * process. Concurrent calls on the same identities are combined into one transaction, so that only
 * processes contend.
 */
export abstract class RecordStorage extends ServerStorage {
  readonly #queue = new KeyedBatcher<QueuedStep, () => unknown>((identities, steps) =>
    this.#run(identities, steps),
  );

  /** Maximum number of identities in one transaction. */
  protected abstract readonly identitiesTogether: number;

  /**
   * Reads the texts of some identities, calls `decide`, and stores the result if the texts have not
   * changed since: all or nothing. Retries when another process was faster.
   *
   * @param since time of the oldest waiting call, by `performance.now()`
   * @throws StorageError, ConcurrentUpdateError
   */
  protected abstract transact(identities: readonly string[], decide: Decide, since: number): Promise<void>;

  /**
   * Lists keys with a prefix, in order, a page at a time: those after the last key of the page before
   * it; an empty page ends the list. Without it, `removeLimits` throws.
   *
   * @param last `''` for the first page
   */
  protected keysAfter?(prefix: string, last: string): Awaitable<readonly string[]>;

  override async consume(batch: readonly Hit[]): Promise<BatchResult> {
    return consumeInParts(
      batch,
      this.#partsOf(batch),
      (part) => this.#take(part, (records, now) => consumeBatch(records, part, now)),
      (settlements) => this.settle(settlements),
    );
  }

  override async peek(batch: readonly Hit[]): Promise<BatchResult> {
    const parts = this.#partsOf(batch);
    return joinResults(batch, parts, await Promise.all(parts.map((part) => this.#peekPart(part))));
  }

  override async settle(settlements: readonly Settlement[]): Promise<BatchResult> {
    const parts = this.#partsOf(settlements);
    const results = parts.map((part) => this.#take(part, (records, now) => settleBatch(records, part, now)));
    return joinResults(settlements, parts, await Promise.all(results));
  }

  override async block(blocks: readonly Block[]): Promise<void> {
    const done = this.#partsOf(blocks).map((part) =>
      this.#take(part, (records, now) => blockBatch(records, part, now)),
    );
    await Promise.all(done);
  }

  override async remove(cells: readonly Cell[]): Promise<void> {
    const done = this.#partsOf(cells).map((part) =>
      this.#take(part, (records) => {
        for (const { identity, limit } of part) records.remove(identity, limit);
      }),
    );
    await Promise.all(done);
  }

  override async removeLimits(limits: readonly Limit[]): Promise<void> {
    const { keysAfter } = this;
    if (keysAfter === undefined) return super.removeLimits(limits);
    const prefix = identityKeys(this.keyPrefix);
    for (let last = ''; ;) {
      const keys = await this.call(async () => keysAfter.call(this, prefix, last));
      const identities = keys.map((key) => key.slice(prefix.length, -1));
      for (let start = 0; start < identities.length; start += REMOVALS_TOGETHER) {
        const some = identities.slice(start, start + REMOVALS_TOGETHER);
        await this.remove(some.flatMap((identity) => limits.map((limit) => ({ identity, limit }))));
      }
      last = keys.at(-1) ?? '';
      if (last === '') return;
    }
  }

  /** Runs immediately: a call that changes nothing need not wait in the queue. */
  async #peekPart(part: readonly Hit[]): Promise<BatchResult> {
    const step: Step<BatchResult> = (records, now) => peekBatch(records, part, now);
    const [outcome] = await this.#run(identitiesOf(part), [{ step, since: performance.now() }], 'read only');
    return outcome?.() as BatchResult;
  }

  /** Runs a step in the queue of its identities. */
  async #take<T>(part: readonly Cell[], step: Step<T>): Promise<T> {
    const outcome = await this.#queue.add(identitiesOf(part), { step, since: performance.now() });
    return outcome() as T;
  }

  async #run(
    identities: readonly string[],
    steps: readonly QueuedStep[],
    mode?: 'read only',
  ): Promise<(() => unknown)[]> {
    let outcomes: (() => unknown)[] = [];
    await this.transact(
      identities,
      (texts, now = this.clock.now()) => {
        const records = new CasRecords(identities, texts);
        outcomes = steps.map(({ step }) => outcomeOf(() => step(records, now)));
        return mode === 'read only' ? [] : records.write(now);
      },
      Math.min(...steps.map(({ since }) => since)),
    );
    return outcomes;
  }

  #partsOf<C extends Cell>(cells: readonly C[]): C[][] {
    const identities = partition(cells, ({ identity }) => identity);
    const parts = Math.ceil(identities.length / this.identitiesTogether);
    return Array.from({ length: parts }, (_, part) =>
      identities.slice(part * this.identitiesTogether, (part + 1) * this.identitiesTogether).flat(),
    );
  }
}

function identitiesOf(cells: readonly Cell[]): string[] {
  return [...new Set(cells.map(({ identity }) => identity))];
}

/** Catches the error of a step, so that it is thrown to its own caller and not to the others. */
function outcomeOf<T>(step: () => T): () => T {
  try {
    const result = step();
    return () => result;
  } catch (error) {
    return () => {
      throw error;
    };
  }
}
