/** Buckets per doubling: a percentile is at most 1/8 octave (9 %) too high. */
const PER_OCTAVE = 8;
/** Lower end of the first bucket, in ms. */
const LEAST_MS = 0.001;
/** Up to 2^27 µs, more than two minutes. */
const BUCKETS = 27 * PER_OCTAVE;
/** Minutes that are held. */
const MINUTES = 10;

/** Percentiles of durations, in ms. */
export interface LatencySummary {
  readonly count: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
}

/** A histogram of the durations of the last ten minutes, with buckets that grow by 9 %. */
export class Latencies {
  #current = new Uint32Array(BUCKETS);
  /** The newest first. */
  readonly #minutes = [this.#current];

  /** @param duration ms */
  add(duration: number): void {
    const bucket = Math.floor(Math.log2(Math.max(duration, LEAST_MS) / LEAST_MS) * PER_OCTAVE);
    const place = Math.min(bucket, BUCKETS - 1);
    this.#current[place] = (this.#current[place] ?? 0) + 1;
  }

  /** Drops the oldest minute, and begins another. */
  beginMinute(): void {
    this.#current = new Uint32Array(BUCKETS);
    this.#minutes.unshift(this.#current);
    this.#minutes.splice(MINUTES);
  }

  /** Returns the percentiles; zeros if there are no durations. */
  summary(): LatencySummary {
    const counts: number[] = [];
    for (const minute of this.#minutes)
      for (const [bucket, added] of minute.entries()) counts[bucket] = (counts[bucket] ?? 0) + added;
    const count = counts.reduce((sum, one) => sum + one, 0);
    const at = (part: number): number => {
      let before = 0;
      const bucket = counts.findIndex((one) => (before += one) >= part * count && one > 0);
      return bucket < 0 ? 0 : LEAST_MS * 2 ** ((bucket + 1) / PER_OCTAVE);
    };
    return { count, p50: at(0.5), p90: at(0.9), p99: at(0.99) };
  }
}
