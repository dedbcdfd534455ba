import { blockBatch, consumeBatch, peekBatch, settleBatch } from '../apply-batch.js';
import { consumeInParts, joinResults, partition } from '../../core/batch-parts.js';
import type { BatchResult, Block, Cell, Hit, Settlement } from '../../core/contract.js';
import { ServerStorage } from '../server.storage.js';
import type { Write } from './cas-record.js';
import { CasRecords } from './cas-records.js';
import { KeyedBatcher } from './keyed-batcher.js';

/**
 * Says what to store for some identities, given what is stored (`undefined`: nothing, or no change), all in their order, and the
 * server's time, where that counts.
 */
export type Decide = (texts: readonly (string | undefined)[], now?: number) => readonly (Write | undefined)[];

/** What one call does to the records of its identities. */
type Step<T> = (records: CasRecords, now: number) => T;

interface QueuedStep {
  readonly step: Step<unknown>;
  readonly since: number;
}

/**
 * A storage that decides batches in this process, on records that its server keeps as text, one per identity. Concurrent calls on
 * the same identities are combined into one transaction, so that only processes contend.
 */
export abstract class RecordStorage extends ServerStorage {
  readonly #queue = new KeyedBatcher<QueuedStep, () => unknown>((identities, steps) =>
    this.#run(identities, steps),
  );

  /** How many identities the server can take in one transaction. */
  protected abstract readonly identitiesTogether: number;

  /**
   * Reads what is stored for some identities, and stores what `decide` makes of it if it is still the same by then: all or
   * nothing. Decides anew while somebody else is faster.
   *
   * @param since when the oldest of the calls that wait for it was made, by `performance.now()`
   * @throws StorageError, ConcurrentUpdateError
   */
  protected abstract transact(identities: readonly string[], decide: Decide, since: number): Promise<void>;

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

  /** Looks at once: what changes nothing has no turn to wait for. */
  async #peekPart(part: readonly Hit[]): Promise<BatchResult> {
    const step: Step<BatchResult> = (records, now) => peekBatch(records, part, now);
    const [outcome] = await this.#run(identitiesOf(part), [{ step, since: performance.now() }], 'read only');
    return outcome?.() as BatchResult;
  }

  /** Takes a step when its turn on its identities has come. */
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

/** A step that fails does so for its own caller, not for those it was combined with. */
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
