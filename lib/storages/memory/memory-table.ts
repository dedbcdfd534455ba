import { hash, randomBytes } from 'node:crypto';
import type { Limit } from '../../core/limit.js';

/** Overflow cells per limit. Identities that arrive when the storage is full share them. */
export const OVERFLOW_CELLS = 4096;

/** Key of the overflow hash. Clients do not know it, so none can choose to share a cell with another. */
const SECRET = randomBytes(16).toString('latin1');

/**
 * The cells of one limit by identity, and the overflow cells that new identities share while the
 * storage is full.
 */
export class MemoryTable<State extends object> {
  readonly cells = new Map<string, State>();
  readonly overflow = new Map<number, State>();

  constructor(
    private limit: Limit,
    private readonly expiry: (state: State, limit: Limit) => number,
  ) {}

  get isEmpty(): boolean {
    return this.cells.size === 0 && this.overflow.size === 0;
  }

  /**
   * Notes a limit that shares these cells. The one with the smallest amount decides expiry, since
   * its states last longest.
   */
  admit(limit: Limit): this {
    if (limit.amount < this.limit.amount) this.limit = limit;
    return this;
  }

  get(identity: string): State | undefined {
    return (
      this.cells.get(identity) ??
      (this.overflow.size > 0 ? this.overflow.get(overflowCell(identity)) : undefined)
    );
  }

  /** Returns true if a state is equivalent to none. */
  isExpired(state: State, now: number): boolean {
    return this.expiry(state, this.limit) <= now;
  }
}

/** Returns the overflow cell of an identity, by a keyed hash. */
export function overflowCell(identity: string): number {
  return hash('sha256', SECRET + identity, 'buffer').readUInt32LE(0) % OVERFLOW_CELLS;
}
