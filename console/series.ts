import type { Counts, SeriesView } from '../lib/nest/console/console-messages.js';

/** Seconds that are shown: ten minutes. */
export const SECONDS = 600;

const NAMES = ['requests', 'refused', 'shadow'] as const;

/** The counts per second of the last ten minutes, the newest last. */
export class Series {
  readonly requests: number[];
  readonly refused: number[];
  readonly shadow: number[];
  readonly sums: { requests: number; refused: number; shadow: number };

  constructor(view: SeriesView = { requests: [], refused: [], shadow: [] }) {
    this.requests = padded(view.requests);
    this.refused = padded(view.refused);
    this.shadow = padded(view.shadow);
    this.sums = { requests: sum(view.requests), refused: sum(view.refused), shadow: sum(view.shadow) };
  }

  /** Adds seconds without requests, and one with these counts. */
  add(seconds: number, counts: Counts = { requests: 0, refused: 0, shadow: 0 }): void {
    for (let second = 1; second <= Math.min(seconds, SECONDS); second++)
      for (const name of NAMES) {
        const count = second === seconds ? counts[name] : 0;
        this.sums[name] += count - (this[name].shift() ?? 0);
        this[name].push(count);
      }
  }

  /** The mean per second of the last ten seconds. */
  rate(name: 'requests' | 'refused'): number {
    return sum(this[name].slice(-10)) / 10;
  }
}

function padded(counts: readonly number[]): number[] {
  return [...Array.from({ length: SECONDS - counts.length }, () => 0), ...counts];
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0);
}
