import type { BlockState } from '../../strategies/block.js';
import type { Cells } from '../apply-batch.js';
import type { Limit } from '../../core/limit.js';
import { CasRecord, type Write } from './cas-record.js';

/**
 * The records of several identities. Each is parsed on first use, so that an unreadable one fails
 * only its own identity.
 */
export class CasRecords implements Cells {
  readonly #records = new Map<string, CasRecord>();

  /** @param texts the stored text of each identity, in the same order */
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

  /** Removes a cell and its block. */
  remove(identity: string, limit: Limit): void {
    this.#record(identity).remove(limit, true);
  }

  /** Returns the text to store for each identity, in order; `undefined` if it has not changed. */
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
