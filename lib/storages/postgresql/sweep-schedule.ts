const SWEEP_INTERVAL_MS = 10_000;
const DECISIONS_PER_SWEEP = 1000;

/** Decides when a call sweeps. Needs no timer: without calls, the table does not grow. */
export class SweepSchedule {
  #decisions = 0;
  #swept = performance.now();

  /** Counts decisions. Returns true if the next sweep is due. */
  isDue(decisions: number): boolean {
    this.#decisions += decisions;
    if (this.#decisions < DECISIONS_PER_SWEEP && performance.now() < this.#swept + SWEEP_INTERVAL_MS)
      return false;
    this.#decisions = 0;
    this.#swept = performance.now();
    return true;
  }
}
