import { block, type BlockState } from '../../strategies/block.js';
import { strategies } from '../../strategies/strategies.js';
import type { Cells } from '../apply-batch.js';
import type { Limit } from '../../core/limit.js';
import { MemoryTable, overflowCell } from './memory-table.js';

/** Cells that a new identity checks for expiry when the storage is full. */
const CHECKS_PER_NEWCOMER = 16;
/** Cells that one sweep checks: about a millisecond of work. */
const CHECKS_PER_SWEEP = 10_000;
const SWEEP_INTERVAL_MS = 1000;

const END_OF_ROUND = Symbol('end of round');
type Examination = Generator<typeof END_OF_ROUND | undefined, never>;

type Tables<State extends object> = Map<string, MemoryTable<State>>;

/**
 * The cells of a memory storage: one table per limit, keyed by identity, with a hard cap on the
 * total.
 *
 * A sweep drops expired cells, a few at a time. When the cap is reached, a new identity replaces an
 * expired cell. If it finds none, it shares an overflow cell of its limit. A cell that still counts
 * is never dropped, so a flood of new identities resets no count.
 */
export class MemoryCells implements Cells {
  /** Number of cells, without the overflow. */
  #size = 0;
  readonly #states: Tables<object> = new Map();
  readonly #blocks: Tables<BlockState> = new Map();
  #examination: Examination = this.#examine();
  #sweeper: NodeJS.Timeout | undefined;

  constructor(
    private readonly maxKeys: number,
    private readonly now: () => number,
  ) {}

  get(identity: string, limit: Limit): object | undefined {
    return this.#states.get(limit.id)?.admit(limit).get(identity);
  }

  set(identity: string, limit: Limit, state: object | undefined): void {
    if (state === undefined) this.#delete(this.#states, identity, limit);
    else this.#put(tableOf(this.#states, limit, strategies[limit.strategy].expiresAt), identity, state);
  }

  getBlock(identity: string, limit: Limit): BlockState | undefined {
    return this.#blocks.get(limit.id)?.get(identity);
  }

  setBlock(identity: string, limit: Limit, state: BlockState | undefined): void {
    if (state === undefined) this.#delete(this.#blocks, identity, limit);
    else this.#put(tableOf(this.#blocks, limit, expiryOfBlock), identity, state);
  }

  /** Removes a cell and its block. */
  remove(identity: string, limit: Limit): void {
    this.#delete(this.#states, identity, limit);
    this.#delete(this.#blocks, identity, limit);
  }

  /** Removes everything. Returns the number of cells. */
  clear(): number {
    let removed = 0;
    for (const tables of [this.#states, this.#blocks]) {
      for (const table of tables.values()) removed += table.cells.size + table.overflow.size;
      tables.clear();
    }
    this.#size = 0;
    this.#examination = this.#examine(); // drops its iterators over the old tables
    clearInterval(this.#sweeper);
    this.#sweeper = undefined;
    return removed;
  }

  #put<State extends object>(table: MemoryTable<State>, identity: string, state: State): void {
    if (table.cells.has(identity)) {
      table.cells.set(identity, state);
    } else if (!this.#staysInOverflow(table, identity) && (this.#size < this.maxKeys || this.#makeRoom())) {
      table.cells.set(identity, state);
      this.#size++;
      this.#sweeper ??= setInterval(() => this.#sweep(), SWEEP_INTERVAL_MS).unref();
    } else {
      table.overflow.set(overflowCell(identity), state);
    }
  }

  /**
   * Returns true while an identity shares an overflow cell. Leaving it before it expires would
   * reset the identity's count.
   */
  #staysInOverflow<State extends object>(table: MemoryTable<State>, identity: string): boolean {
    if (table.overflow.size === 0) return false;
    const cell = overflowCell(identity);
    const shared = table.overflow.get(cell);
    if (shared === undefined) return false;
    if (!table.isExpired(shared, this.now())) return true;
    table.overflow.delete(cell);
    return false;
  }

  #delete<State extends object>(tables: Tables<State>, identity: string, limit: Limit): void {
    const table = tables.get(limit.id);
    if (table === undefined) return;
    if (table.cells.delete(identity)) this.#size--;
    else if (table.overflow.size > 0) table.overflow.delete(overflowCell(identity));
  }

  #makeRoom(): boolean {
    for (let looks = 0; looks < CHECKS_PER_NEWCOMER && this.#size >= this.maxKeys; looks++)
      this.#examination.next();
    return this.#size < this.maxKeys;
  }

  #sweep(): void {
    for (let looks = 0; looks < CHECKS_PER_SWEEP; looks++) {
      if (this.#examination.next().value === END_OF_ROUND) break;
    }
    dropEmpty(this.#states);
    dropEmpty(this.#blocks);
    if (this.#states.size > 0 || this.#blocks.size > 0) return;
    clearInterval(this.#sweeper);
    this.#sweeper = undefined;
  }

  /** Iterates over all cells in an endless loop, drops expired ones, and yields after each. */
  *#examine(): Examination {
    for (;;) {
      yield* this.#examineTables(this.#states);
      yield* this.#examineTables(this.#blocks);
      yield END_OF_ROUND;
    }
  }

  *#examineTables<State extends object>(tables: Tables<State>): Generator<undefined> {
    for (const table of tables.values()) {
      for (const [cell, state] of table.overflow) {
        if (table.isExpired(state, this.now())) table.overflow.delete(cell);
        yield;
      }
      for (const [identity, state] of table.cells) {
        if (table.isExpired(state, this.now()) && table.cells.delete(identity)) this.#size--;
        yield;
      }
    }
  }
}

/** Drops empty tables. Must not run while a new identity waits for room: its table is still empty then. */
function dropEmpty<State extends object>(tables: Tables<State>): void {
  for (const [id, table] of tables) {
    if (table.isEmpty) tables.delete(id);
  }
}

function tableOf<State extends object>(
  tables: Tables<State>,
  limit: Limit,
  expiry: (state: State, limit: Limit) => number,
): MemoryTable<State> {
  const known = tables.get(limit.id)?.admit(limit);
  if (known !== undefined) return known;
  const table = new MemoryTable(limit, expiry);
  tables.set(limit.id, table);
  return table;
}

function expiryOfBlock(state: BlockState, limit: Limit): number {
  return block.expiresAt(state, limit.block);
}
