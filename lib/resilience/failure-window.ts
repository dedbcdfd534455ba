/** Detects too many failures: within a sliding window, or in a row. */
export class FailureWindow {
  /** Times of the latest failures, oldest first; at most `threshold`. */
  readonly #times: number[] = [];
  #inRow = 0;

  /**
   * @param threshold number of failures that is too many
   * @param length length of the window in ms
   */
  constructor(
    private readonly threshold: number,
    private readonly length: number,
  ) {}

  /**
   * Adds a failure.
   *
   * @param now ms of a monotonic clock
   * @returns true if there were too many within the window, or in a row
   */
  add(now: number): boolean {
    this.#times.push(now);
    if (this.#times.length > this.threshold) this.#times.shift();
    const isWithin = this.#times.length === this.threshold && now - (this.#times[0] ?? now) <= this.length;
    return ++this.#inRow >= this.threshold || isWithin;
  }

  /** Ends a row of failures. */
  succeed(): void {
    this.#inRow = 0;
  }

  clear(): void {
    this.#times.length = 0;
    this.#inRow = 0;
  }
}
