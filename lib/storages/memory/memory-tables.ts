import type { Limit } from '../../core/limit.js';
import { MemoryTable, type Expiry } from './memory-table.js';

/** The tables of all limits, for one kind of state. */
export class MemoryTables<State extends object> {
  readonly #tables = new Map<string, MemoryTable<State>>();

  constructor(
    private readonly expiry: Expiry<State>,
    private readonly sharedExpiry: Expiry<State> = expiry,
  ) {}

  get size(): number {
    return this.#tables.size;
  }

  find(limit: Limit): MemoryTable<State> | undefined {
    return this.#tables.get(limit.id)?.admit(limit);
  }

  /** Returns the table of a limit, and creates it if there is none. */
  open(limit: Limit): MemoryTable<State> {
    const known = this.find(limit);
    if (known !== undefined) return known;
    const table = new MemoryTable(limit, this.expiry, this.sharedExpiry);
    this.#tables.set(limit.id, table);
    return table;
  }

  values(): IterableIterator<MemoryTable<State>> {
    return this.#tables.values();
  }

  /** Drops empty tables. Must not run while a new identity waits for room: its table is still empty then. */
  dropEmpty(): void {
    for (const [id, table] of this.#tables) {
      if (table.isEmpty) this.#tables.delete(id);
    }
  }

  clear(): void {
    this.#tables.clear();
  }
}
