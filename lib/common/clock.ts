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

/** Ms that a timer can wait for; what is more, it takes for none at all. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

/** The clock of the machine. */
export const systemClock: Clock = { now: () => Date.now() };
