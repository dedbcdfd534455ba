import type { BlockState } from '../../strategies/block.js';
import type { MemoryTables } from './memory-tables.js';

/** How many cells a newcomer to a full storage may examine to find one that has expired. */
const CHECKS_PER_NEWCOMER = 16;
/** How many cells one sweep examines: about a millisecond of work. */
const CHECKS_PER_SWEEP = 10_000;
const SWEEP_INTERVAL_MS = 1000;

const END_OF_ROUND = Symbol('end of round');
type Examination = Generator<typeof END_OF_ROUND | undefined, never>;

/**
 * The room for cells in a memory storage: counts them, and drops those that have expired. A sweep examines a few at a time;
 * once the storage is full, each newcomer examines some more.
 */
export class MemoryRoom {
  /** Epoch ms of the batch or the sweep that is running. */
  now = 0;
  /** Cells held, those of the overflow not included. */
  #size = 0;
  #examination: Examination = this.#examine();
  #sweeper: NodeJS.Timeout | undefined;

  constructor(
    private readonly maxKeys: number,
    private readonly clock: () => number,
    private readonly kinds: readonly (MemoryTables<object> | MemoryTables<BlockState>)[],
  ) {}

  /** Returns whether there is room for a cell, or can be made by dropping expired ones. */
  hasSome(): boolean {
    for (let looks = 0; looks < CHECKS_PER_NEWCOMER && this.#size >= this.maxKeys; looks++)
      this.#examination.next();
    return this.#size < this.maxKeys;
  }

  /** Counts a new cell. */
  take(): void {
    this.#size++;
    this.#sweeper ??= setInterval(() => this.#sweep(), SWEEP_INTERVAL_MS).unref();
  }

  /** Counts a cell that is gone. */
  giveBack(): void {
    this.#size--;
  }

  /** Starts again after all tables were cleared. */
  clear(): void {
    this.#size = 0;
    this.#examination = this.#examine(); // what it has not looked at yet is gone
    this.#stopSweeping();
  }

  #sweep(): void {
    this.now = this.clock();
    for (let looks = 0; looks < CHECKS_PER_SWEEP; looks++) {
      if (this.#examination.next().value === END_OF_ROUND) break;
    }
    for (const tables of this.kinds) tables.dropEmpty();
    if (this.kinds.every((tables) => tables.size === 0)) this.#stopSweeping();
  }

  /** Lets the process exit. */
  #stopSweeping(): void {
    clearInterval(this.#sweeper);
    this.#sweeper = undefined;
  }

  /** Goes round all cells without end, drops the expired ones, and pauses after each look. */
  *#examine(): Examination {
    const now = (): number => this.now;
    for (;;) {
      for (const tables of this.kinds) {
        for (const table of tables.values()) {
          for (const isDropped of table.dropExpired(now)) {
            if (isDropped) this.#size--;
            yield;
          }
        }
      }
      yield END_OF_ROUND;
    }
  }
}
