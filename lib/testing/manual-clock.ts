import type { Clock } from '../common/time.js';

/**
 * A clock that stands still until it is told to move.
 *
 * @example
 * ```ts
 * import { MemoryStorage } from 'nestjs-limits';
 * import { ManualClock } from 'nestjs-limits/testing';
 *
 * const clock = new ManualClock();
 * const storage = new MemoryStorage({ clock });
 * clock.advance(60_000);
 * ```
 */
export class ManualClock implements Clock {
  #now: number;

  /** @param now epoch ms; default: 2024-01-01T00:00:00Z */
  constructor(now = 1_704_067_200_000) {
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  /** Moves on by so many ms; back, if negative. */
  advance(milliseconds: number): void {
    this.#now += milliseconds;
  }

  /** Moves to an instant in epoch ms. */
  set(now: number): void {
    this.#now = now;
  }
}
