/** Seconds that a {@link SecondSeries} holds: ten minutes. */
export const SERIES_SECONDS = 600;

/** Counts per second of the last ten minutes, in a ring: a second replaces the one ten minutes before it. */
export class SecondSeries {
  readonly #counts = new Uint32Array(SERIES_SECONDS);
  #sum = 0;

  /** The sum of all counts that are held. */
  get sum(): number {
    return this.#sum;
  }

  /** Sets the count of a second. To be called for each second, in order. */
  set(second: number, count: number): void {
    const place = second % SERIES_SECONDS;
    this.#sum += count - (this.#counts[place] ?? 0);
    this.#counts[place] = count;
  }

  /** Returns the counts up to a second, the oldest first, without leading zeros. */
  until(second: number): number[] {
    const next = (second + 1) % SERIES_SECONDS;
    const counts = [...this.#counts.subarray(next), ...this.#counts.subarray(0, next)];
    const first = counts.findIndex((count) => count > 0);
    return first < 0 ? [] : counts.slice(first);
  }
}
