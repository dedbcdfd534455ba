import type { BlockState } from '../../strategies/block.js';
import type { MemoryTables } from './memory-tables.js';

/** Cells that a new identity checks for expiry when the storage is full. */
const CHECKS_PER_NEW_IDENTITY = 16;
/** The same for an identity that shares an overflow cell. It checks again at its next hit. */
const CHECKS_PER_SHARER = 4;
/** Cells that one sweep checks, and as many overflow cells: about a millisecond of work. */
const CHECKS_PER_SWEEP = 10_000;
const SWEEP_INTERVAL_MS = 1000;

const END_OF_ROUND = Symbol('end of round');
type Examination = Generator<typeof END_OF_ROUND | boolean, never>;

/**
 * Counts the cells of a memory storage against its cap, and drops expired ones. A sweep checks a few
 * at a time. Once the storage is full, each new identity checks some more.
 */
export class MemoryRoom {
  /** Epoch ms of the current batch or sweep. */
  now = 0;
  /** Number of cells, without the overflow. */
  #size = 0;
  /** Rounds over all cells that new identities have yet to complete since the storage was full. */
  #rounds = 0;
  #cells: Examination = this.#examineCells();
  #overflow: Examination = this.#examineOverflow();
  #sweeper: NodeJS.Timeout | undefined;

  constructor(
    private readonly maxKeys: number,
    private readonly clock: () => number,
    private readonly kinds: readonly (MemoryTables<object> | MemoryTables<BlockState>)[],
  ) {}

  /**
   * Returns true if a new identity gets a cell, after dropping expired ones if need be. Once the storage is full, new identities check
   * all cells, though there is room again: a Map doubles its table when a key is added to a full one, unless half of the keys have
   * been deleted by then.
   */
  hasSome(checks = CHECKS_PER_NEW_IDENTITY): boolean {
    if (this.#size >= this.maxKeys) this.#rounds = 2; // the rest of the current one, and a whole one
    for (let looks = 0; looks < checks && this.#rounds > 0; looks++)
      if (this.#cells.next().value === END_OF_ROUND) this.#rounds--;
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

  /** Counts a dropped cell. */
  giveBack(): void {
    this.#size--;
  }

  /** Starts again after all tables were cleared. */
  clear(): void {
    this.#size = 0;
    this.#rounds = 0;
    this.#cells = this.#examineCells(); // drops its iterators over the old tables
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

  /** Iterates over all cells in an endless loop, drops expired ones, and yields after each. */
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

/** Checks all cells, or as many as a sweep may, from where the last check stopped. */
function examineWholeRound(examination: Examination): void {
  let ends = 0;
  for (let looks = 0; looks < CHECKS_PER_SWEEP && ends < 2; looks++) {
    if (examination.next().value === END_OF_ROUND) ends++;
  }
}
