import type { BlockState } from '../../strategies/block.js';
import type { MemoryTables } from './memory-tables.js';

/** How many cells a newcomer to a full storage examines to find one that has expired. */
const CHECKS_PER_NEWCOMER = 16;
/** The same of one that shares an overflow cell: it examines as many at its next hit. */
const CHECKS_PER_SHARER = 4;
/** How many cells one sweep examines, and how many overflow cells: about a millisecond of work. */
const CHECKS_PER_SWEEP = 10_000;
const SWEEP_INTERVAL_MS = 1000;

const END_OF_ROUND = Symbol('end of round');
type Examination = Generator<typeof END_OF_ROUND | boolean, never>;

/**
 * The room for cells in a memory storage: counts them, and drops those that have expired. A sweep examines a few at a time;
 * once the storage is full, each newcomer examines some more.
 */
export class MemoryRoom {
  /** Epoch ms of the batch or the sweep that is running. */
  now = 0;
  /** Cells held, those of the overflow not included. */
  #size = 0;
  #cells: Examination = this.#examineCells();
  #overflow: Examination = this.#examineOverflow();
  #sweeper: NodeJS.Timeout | undefined;

  constructor(
    private readonly maxKeys: number,
    private readonly clock: () => number,
    private readonly kinds: readonly (MemoryTables<object> | MemoryTables<BlockState>)[],
  ) {}

  /** Returns whether there is room for a newcomer, or can be made by dropping expired cells. */
  hasSome(checks = CHECKS_PER_NEWCOMER): boolean {
    for (let looks = 0; looks < checks && this.#size >= this.maxKeys; looks++) this.#cells.next();
    return this.#size < this.maxKeys;
  }

  /** The same for an identity that shares an overflow cell. */
  hasSomeForSharer(): boolean {
    return this.hasSome(CHECKS_PER_SHARER);
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
    this.#cells = this.#examineCells(); // what it has not looked at yet is gone
    this.#overflow = this.#examineOverflow();
    this.#stopSweeping();
  }

  #sweep(): void {
    this.now = this.clock();
    for (const examination of [this.#cells, this.#overflow]) examineWholeRound(examination);
    for (const tables of this.kinds) tables.dropEmpty();
    if (this.kinds.every((tables) => tables.size === 0)) this.#stopSweeping();
  }

  /** Lets the process exit. */
  #stopSweeping(): void {
    clearInterval(this.#sweeper);
    this.#sweeper = undefined;
  }

  /** Goes round all cells without end, drops the expired ones, and pauses after each look. */
  *#examineCells(): Examination {
    for (;;) {
      for (const tables of this.kinds) {
        for (const table of tables.values()) {
          for (const isDropped of table.dropExpired(() => this.now)) {
            if (isDropped) this.#size--;
            yield isDropped;
          }
        }
      }
      yield END_OF_ROUND;
    }
  }

  *#examineOverflow(): Examination {
    for (;;) {
      for (const tables of this.kinds)
        for (const table of tables.values()) yield* table.dropExpiredShared(() => this.now);
      yield END_OF_ROUND;
    }
  }
}

/** Examines all cells, or as many as a sweep may, from wherever the examination has come to. */
function examineWholeRound(examination: Examination): void {
  let ends = 0;
  for (let looks = 0; looks < CHECKS_PER_SWEEP && ends < 2; looks++) {
    if (examination.next().value === END_OF_ROUND) ends++;
  }
}
