import { hash, randomBytes } from 'node:crypto';
import type { Limit } from '../../core/limit.js';

/** How many cells all identities share that come when there is no room for a cell of their own. */
export const OVERFLOW_CELLS = 4096;

/** Unknown to clients, so that none can choose whom it shares an overflow cell with. */
const SECRET = randomBytes(16).toString('latin1');

/** The cells of one limit by identity, and the few that newcomers share while the storage is full. */
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

  /** Of all limits that share these cells, the one with the smallest amount decides what has expired: its states last longest. */
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

  /** Whether a state has come to mean the same as none. */
  isExpired(state: State, now: number): boolean {
    return this.expiry(state, this.limit) <= now;
  }
}

/** Which overflow cell an identity falls into: a keyed hash. */
export function overflowCell(identity: string): number {
  return hash('sha256', SECRET + identity, 'buffer').readUInt32LE(0) % OVERFLOW_CELLS;
}
