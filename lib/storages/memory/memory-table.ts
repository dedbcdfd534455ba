import { hash, randomBytes } from 'node:crypto';
import { quote } from '../../common/describe.js';
import { ConfigurationError } from '../../common/errors.js';
import type { Limit } from '../../core/limit.js';
import { strategies } from '../../strategies/strategies.js';

/** Overflow cells per limit. Identities that arrive when the storage is full share them. */
export const OVERFLOW_CELLS = 4096;

/** Key of the overflow hash. Clients do not know it, so none can choose to share a cell with another. */
const SECRET = randomBytes(16).toString('latin1');

/** Returns the epoch ms from which a state is equivalent to none. */
export type Expiry<State> = (state: State, limit: Limit) => number;

/**
 * The cells of one limit by identity, and the overflow cells that new identities share while the
 * storage is full.
 */
export class MemoryTable<State extends object> {
  readonly cells = new Map<string, State>();
  readonly overflow = new Map<number, State>();
  /** Epoch ms until which the cell of an identity may count hits of those it shared a cell with; for limits with blocks. */
  readonly mixedUntil = new Map<string, number>();

  constructor(
    private limit: Limit,
    private readonly expiry: Expiry<State>,
    private readonly sharedExpiry: Expiry<State>,
  ) {}

  get policy(): string {
    return this.limit.policy;
  }

  get isEmpty(): boolean {
    return this.cells.size === 0 && this.overflow.size === 0;
  }

  /**
   * Notes a limit that shares these cells. The one with the smallest amount decides expiry, since
   * its states last longest.
   */
  admit(limit: Limit): this {
    if (limit.strategy !== this.limit.strategy) assertSameStrategy(limit, this.limit);
    if (limit.amount < this.limit.amount) this.limit = limit;
    return this;
  }

  /** Returns the state in the overflow cell of an identity, and drops it if it has expired. */
  getShared(identity: string, now: number): State | undefined {
    if (this.overflow.size === 0) return undefined;
    const cell = overflowCell(identity);
    const state = this.overflow.get(cell);
    if (state === undefined || !this.isSharedExpired(state, now)) return state;
    this.overflow.delete(cell);
    return undefined;
  }

  setShared(identity: string, state: State): void {
    this.overflow.set(overflowCell(identity), state);
  }

  deleteShared(identity: string): void {
    if (this.overflow.size > 0) this.overflow.delete(overflowCell(identity));
  }

  /** Drops the cell of an identity; returns whether there was one. */
  delete(identity: string): boolean {
    if (this.mixedUntil.size > 0) this.mixedUntil.delete(identity);
    return this.cells.delete(identity);
  }

  /** Returns true while the cell of an identity may count hits of others. */
  isMixed(identity: string, now: number): boolean {
    return this.mixedUntil.size > 0 && (this.mixedUntil.get(identity) ?? now) > now;
  }

  /** Returns the epoch ms from which a state in these cells is equivalent to none. */
  expiresAt(state: State): number {
    return this.expiry(state, this.limit);
  }

  /** Drops the expired cells, and yields after each check: `true` if it dropped one. */
  *dropExpired(now: () => number): Generator<boolean> {
    for (const [identity, state] of this.cells) {
      if (this.mixedUntil.size > 0 && !this.isMixed(identity, now())) this.mixedUntil.delete(identity);
      yield this.expiresAt(state) <= now() && this.delete(identity);
    }
  }

  /** Drops the expired overflow cells, and yields after each check: `true` if it dropped one. */
  *dropExpiredShared(now: () => number): Generator<boolean> {
    for (const [cell, state] of this.overflow)
      yield this.isSharedExpired(state, now()) && this.overflow.delete(cell);
  }

  private isSharedExpired(state: State, now: number): boolean {
    return this.sharedExpiry(state, this.limit) <= now;
  }
}

/** A state is passed only to the strategy that created it. Calendar windows have the states of fixed windows. */
function assertSameStrategy(limit: Limit, other: Limit): void {
  if (strategies[limit.strategy].commit === strategies[other.strategy].commit) return;
  throw new ConfigurationError(
    `Two limits have the id ${quote(limit.id)} and the strategies "${other.strategy}" and "${limit.strategy}". ` +
      'Limits with one id share a count, so give each strategy an id of its own.',
  );
}

/** Returns the overflow cell of an identity, by a keyed hash. */
function overflowCell(identity: string): number {
  return hash('sha256', SECRET + identity, 'buffer').readUInt32LE(0) % OVERFLOW_CELLS;
}
