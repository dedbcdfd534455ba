import type { BlockState } from '../../strategies/block.js';
import type { Cells } from '../apply-batch.js';
import type { Limit } from '../../core/limit.js';
import { CasRecord, type Write } from './cas-record.js';

/** The records of several identities. One is read when it is first asked for: an unreadable one hurts nobody else. */
export class CasRecords implements Cells {
  readonly #records = new Map<string, CasRecord>();

  /** @param texts what is stored for each of the buckets, in their order */
  constructor(
    private readonly identities: readonly string[],
    private readonly texts: readonly (string | undefined)[],
  ) {}

  get(identity: string, limit: Limit): object | undefined {
    return this.#record(identity).get(limit);
  }

  set(identity: string, limit: Limit, state: object | undefined): void {
    this.#record(identity).set(limit, state);
  }

  getBlock(identity: string, limit: Limit): BlockState | undefined {
    return this.#record(identity).getBlock(limit);
  }

  setBlock(identity: string, limit: Limit, state: BlockState | undefined): void {
    this.#record(identity).setBlock(limit, state);
  }

  /** Forgets a cell and its block. */
  remove(identity: string, limit: Limit): void {
    this.#record(identity).remove(limit, true);
  }

  /** What to store for each of the buckets, in their order; `undefined` where nothing has changed. */
  write(now: number): (Write | undefined)[] {
    return this.identities.map((identity) => this.#records.get(identity)?.write(now));
  }

  #record(identity: string): CasRecord {
    let record = this.#records.get(identity);
    if (record === undefined) {
      record = new CasRecord(this.texts[this.identities.indexOf(identity)]);
      this.#records.set(identity, record);
    }
    return record;
  }
}
