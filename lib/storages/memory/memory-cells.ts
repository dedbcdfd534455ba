import { block, type BlockState } from '../../strategies/block.js';
import { strategies } from '../../strategies/strategies.js';
import type { Cells, ReadableCells } from '../apply-batch.js';
import type { Limit } from '../../core/limit.js';
import { MemoryRoom } from './memory-room.js';
import type { MemoryTable } from './memory-table.js';
import { MemoryTables } from './memory-tables.js';

/**
 * The cells of a memory storage: one table per limit, keyed by identity, with a hard cap on the
 * total.
 *
 * A sweep drops expired cells, a few at a time. When the cap is reached, a new identity replaces an
 * expired cell. If it finds none, it shares an overflow cell of its limit, and leaves it with a copy
 * of its state as soon as there is room. A cell that still counts is never dropped, so a flood of
 * new identities resets no count.
 */
export class MemoryCells implements Cells {
  readonly #states = new MemoryTables<object>((state, limit) =>
    strategies[limit.strategy].expiresAt(state, limit),
  );
  readonly #blocks = new MemoryTables<BlockState>(
    (state, limit) => block.expiresAt(state, limit),
    (state, limit) => Math.max(state.until, block.reservedUntil(state, limit)),
  );
  readonly #room: MemoryRoom;

  /** The same cells, read-only: reading moves no identity out of its overflow cell. */
  readonly reader: ReadableCells = {
    get: (identity, limit) => {
      const table = this.#states.find(limit);
      return table?.cells.get(identity) ?? table?.getShared(identity, this.#room.now);
    },
    getBlock: (identity, limit) => this.getBlock(identity, limit),
  };

  constructor(maxKeys: number, clock: () => number) {
    this.#room = new MemoryRoom(maxKeys, clock, [this.#states, this.#blocks]);
  }

  /** Returns these cells for a batch at a time, in epoch ms; drops only cells that have expired by then. */
  at(now: number): this {
    this.#room.now = now;
    return this;
  }

  get(identity: string, limit: Limit): object | undefined {
    const table = this.#states.find(limit);
    if (table === undefined) return undefined;
    const own = table.cells.get(identity);
    if (own !== undefined || table.overflow.size === 0) return own;
    const shared = table.getShared(identity, this.#room.now);
    return shared === undefined || !this.#room.hasSomeForSharer()
      ? shared
      : this.#leaveOverflow(table, identity, limit, shared);
  }

  set(identity: string, limit: Limit, state: object | undefined): void {
    if (state === undefined) {
      const table = this.#states.find(limit);
      if (table !== undefined && !this.#delete(table, identity)) table.deleteShared(identity);
      return;
    }
    const table = this.#states.open(limit);
    if (table.cells.has(identity)) table.cells.set(identity, state);
    else if (table.getShared(identity, this.#room.now) !== undefined)
      this.#addToShared(table, identity, limit, state);
    else if (this.#room.hasSome()) this.#add(table, identity, state);
    else table.setShared(identity, state);
  }

  getBlock(identity: string, limit: Limit): BlockState | undefined {
    const table = this.#blocks.find(limit);
    if (table === undefined) return undefined;
    const own = table.cells.get(identity);
    if (table.overflow.size === 0 || (own !== undefined && own.until > this.#room.now)) return own;
    return this.#getSharedBlock(identity, limit) ?? own;
  }

  /**
   * Sets a block. While an identity shares a cell, its block is shared, too, and ends with the window. While its own cell
   * counts hits of others, its reservations are kept, but it is not blocked, since the refusal may be due to the others. An
   * identity with its own cell gets one for its block even if there is no room.
   */
  setBlock(identity: string, limit: Limit, given: BlockState | undefined): void {
    const { now } = this.#room;
    const states = this.#states.find(limit);
    const isKnown = states?.cells.has(identity) === true;
    if (given === undefined) {
      this.#deleteBlock(identity, limit, isKnown);
      return;
    }
    const table = this.#blocks.open(limit);
    const own = table.cells.get(identity);
    const state = states?.isMixed(identity, now) === true ? withoutBlock(given, own) : given;
    if (own === state || state === undefined) return;
    const shared = isKnown ? undefined : states?.getShared(identity, now);
    if (own !== undefined && (shared === undefined || own.until > now)) table.cells.set(identity, state);
    else if (isKnown || (shared === undefined && this.#room.hasSome())) this.#add(table, identity, state);
    else {
      const end = shared === undefined ? Infinity : (states?.expiresAt(shared) ?? Infinity);
      table.setShared(identity, { ...state, until: Math.min(state.until, now + limit.period, end) });
    }
  }

  /** Prepares a block by hand: the identity leaves its overflow cell, if there is room, and its own blocks are not withheld. */
  separate(identity: string, limit: Limit): void {
    this.get(identity, limit);
    this.#states.find(limit)?.mixedUntil.delete(identity);
  }

  /** Forgets a cell and its block. */
  remove(identity: string, limit: Limit): void {
    this.#forget(this.#states, identity, limit);
    this.#forget(this.#blocks, identity, limit);
  }

  /** Forgets all cells of a limit and their blocks. */
  removeLimit(limit: Limit): void {
    this.#forgetAll(this.#states, limit);
    this.#forgetAll(this.#blocks, limit);
  }

  /** Returns the number of identities held. Of those that share an overflow cell, it knows one. */
  countIdentities(): number {
    const identities = new Set<string | number>();
    for (const tables of [this.#states, this.#blocks]) {
      for (const table of tables.values()) {
        for (const identity of table.cells.keys()) identities.add(identity);
        for (const cell of table.overflow.keys()) identities.add(cell);
      }
    }
    return identities.size;
  }

  /** Returns the number of cells by policy, without blocks. */
  countByPolicy(): Map<string, number> {
    const counts = new Map<string, number>();
    for (const { policy, cells, overflow } of this.#states.values())
      counts.set(policy, (counts.get(policy) ?? 0) + cells.size + overflow.size);
    return counts;
  }

  /** Removes everything. */
  clear(): void {
    this.#states.clear();
    this.#blocks.clear();
    this.#room.clear();
  }

  /**
   * Gives an identity its own cell with a copy of the state that it shares, so that it does not start over; returns the
   * copy. A shared block stays behind: it may be due to others, and the count refuses what is too much.
   */
  #leaveOverflow(table: MemoryTable<object>, identity: string, limit: Limit, shared: object): object {
    const state = structuredClone(shared); // decoding would make doubles of counts, in all states from then on
    this.#add(table, identity, state);
    if (limit.block.length > 0)
      table.mixedUntil.set(identity, Math.max(table.expiresAt(state), this.#room.now + limit.period));
    return state;
  }

  /**
   * Stores a state in an overflow cell that has one: either the one that it was derived from, with its windows moved on, or one of
   * an earlier identity in the batch, to which its hit is added.
   */
  #addToShared(table: MemoryTable<object>, identity: string, limit: Limit, state: object): void {
    const shared = table.getShared(identity, this.#room.now);
    const { commit, remaining } = strategies[limit.strategy];
    const cost = limit.burst - remaining(state, limit, this.#room.now);
    if (commit(shared, limit, cost, this.#room.now) !== shared) table.setShared(identity, state);
  }

  #add<State extends object>(table: MemoryTable<State>, identity: string, state: State): void {
    table.cells.set(identity, state);
    this.#room.take();
  }

  /** Returns the block in the overflow cell of an identity that has no separate cell. */
  #getSharedBlock(identity: string, limit: Limit): BlockState | undefined {
    const shared = this.#blocks.find(limit)?.getShared(identity, this.#room.now);
    return shared === undefined || this.#states.find(limit)?.cells.has(identity) === true
      ? undefined
      : shared;
  }

  /** Deletes the block of an identity; also the one in its overflow cell, unless the identity has left that. */
  #deleteBlock(identity: string, limit: Limit, isKnown: boolean): void {
    const table = this.#blocks.find(limit);
    if (table === undefined) return;
    this.#delete(table, identity);
    if (!isKnown) table.deleteShared(identity);
  }

  #forget<State extends object>(tables: MemoryTables<State>, identity: string, limit: Limit): void {
    const table = tables.find(limit);
    if (table === undefined) return;
    this.#delete(table, identity);
    table.deleteShared(identity);
  }

  #forgetAll<State extends object>(tables: MemoryTables<State>, limit: Limit): void {
    const table = tables.find(limit);
    if (table === undefined) return;
    for (const identity of table.cells.keys()) this.#delete(table, identity);
    table.overflow.clear();
  }

  #delete<State extends object>(table: MemoryTable<State>, identity: string): boolean {
    const isDeleted = table.delete(identity);
    if (isDeleted) this.#room.giveBack();
    return isDeleted;
  }
}

/** Returns a state with the block of the own state before, or none; `undefined` if nothing is reserved or stored. */
function withoutBlock(state: BlockState, own: BlockState | undefined): BlockState | undefined {
  if (own === undefined && state.pending + state.before === 0) return undefined;
  const { until, level, amount, refusals, since } = own ?? {
    ...state,
    until: 0,
    level: 0,
    refusals: 0,
    since: 0,
  };
  return { ...state, until, level, amount, refusals, since };
}
