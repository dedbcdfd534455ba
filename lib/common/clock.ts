/**
 * Where the library reads the time.
 *
 * @example
 * ```ts
 * import { MemoryStorage, type Clock } from 'nestjs-limits';
 *
 * const stopped: Clock = { now: () => 1_700_000_000_000 };
 * const storage = new MemoryStorage({ clock: stopped });
 * ```
 */
export interface Clock {
  /** Epoch milliseconds, a whole number. */
  now(): number;
}

/** The clock of the machine. */
export const systemClock: Clock = { now: () => Date.now() };
