import type { BlockState } from '../../strategies/block.js';
import type { Cells } from '../apply-batch.js';
import type { Limit } from '../limit.js';
import { CasRecord, type Write } from './cas-record.js';

/** The records of several identities. One is read when it is first asked for: an unreadable one hurts nobody else. */
export class CasRecords implements Cells {
  readonly #records = new Map<string, CasRecord>();

  /** @param texts what is stored for each of the buckets, in their order */
  constructor(
    private readonly buckets: readonly string[],
    private readonly texts: readonly (string | undefined)[],
  ) {}

  get(bucket: string, limit: Limit): object | undefined {
    return this.#of(bucket).get(limit);
  }

  set(bucket: string, limit: Limit, state: object | undefined): void {
    this.#of(bucket).set(limit, state);
  }

  getBlock(bucket: string, limit: Limit): BlockState | undefined {
    return this.#of(bucket).getBlock(limit);
  }

  setBlock(bucket: string, limit: Limit, state: BlockState | undefined): void {
    this.#of(bucket).setBlock(limit, state);
  }

  /** Forgets a cell and its block. */
  remove(bucket: string, limit: Limit): void {
    this.#of(bucket).remove(limit, true);
  }

  /** What to store for each of the buckets, in their order; `undefined` where nothing has changed. */
  write(now: number): (Write | undefined)[] {
    return this.buckets.map((bucket) => this.#records.get(bucket)?.write(now));
  }

  #of(bucket: string): CasRecord {
    let record = this.#records.get(bucket);
    if (record === undefined) {
      record = new CasRecord(this.texts[this.buckets.indexOf(bucket)]);
      this.#records.set(bucket, record);
    }
    return record;
  }
}
