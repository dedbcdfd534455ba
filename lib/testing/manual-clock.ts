import type { Clock } from '../common/time.js';

/**
 * A clock that only changes when a test sets or advances it.
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
  readonly #timers = new Set<{ readonly end: number; readonly onEnd: () => void }>();

  /** @param now epoch ms; default: 2024-01-01T00:00:00Z */
  constructor(now = 1_704_067_200_000) {
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  /** Advances the clock by a number of ms; a negative one moves it back. */
  advance(milliseconds: number): void {
    this.set(this.#now + milliseconds);
  }

  /** Sets the clock to an epoch time in ms, and wakes the calls that wait until then. */
  set(now: number): void {
    this.#now = now;
    const due = [...this.#timers].filter(({ end }) => end <= now).sort((one, other) => one.end - other.end);
    for (const timer of due) if (this.#timers.delete(timer)) timer.onEnd();
  }

  startTimer(milliseconds: number, onEnd: () => void): () => void {
    const timer = { end: this.#now + milliseconds, onEnd };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }
}
