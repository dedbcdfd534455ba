/** An entry with a time in epoch ms. */
export interface Timed {
  readonly time: number;
}

const SPAN_SECONDS = 60;

/**
 * Sorts entries that arrive up to a minute out of order. Keeps the entries of the newest 60 seconds;
 * entries of one time stay in the order in which they arrived.
 */
export class ReorderingWindow<T extends Timed> {
  /** The entries of each second, at its number modulo their count. */
  readonly #seconds = Array.from({ length: SPAN_SECONDS + 1 }, (): T[] => []);
  #newest = -Infinity;
  #sorted: T[] = [];

  /** Adds an entry; returns false, and drops it, if it is more than a minute older than the newest. */
  add(entry: T): boolean {
    const second = Math.floor(entry.time / 1000);
    if (second > this.#newest) this.#moveTo(second);
    else if (second < this.#newest - SPAN_SECONDS) return false;
    this.#at(second).push(entry);
    return true;
  }

  /** Returns the entries that no later one can precede, in order, and removes them. */
  take(): T[] {
    const sorted = this.#sorted;
    this.#sorted = [];
    return sorted;
  }

  /** Returns all entries that are left, in order, and removes them. */
  takeRest(): T[] {
    if (this.#newest !== -Infinity) this.#moveTo(this.#newest + SPAN_SECONDS + 1);
    return this.take();
  }

  #moveTo(second: number): void {
    const oldest = this.#newest - SPAN_SECONDS;
    const end = Math.min(second - SPAN_SECONDS, this.#newest + 1);
    for (let leaving = oldest; leaving < end; leaving++) this.#flush(this.#at(leaving));
    this.#newest = second;
  }

  #flush(entries: T[]): void {
    if (entries.length === 0) return;
    if (entries.some((entry, index) => index > 0 && entry.time < (entries[index - 1] as T).time))
      entries.sort((one, other) => one.time - other.time);
    for (const entry of entries) this.#sorted.push(entry);
    entries.length = 0;
  }

  #at(second: number): T[] {
    const count = this.#seconds.length;
    return this.#seconds[((second % count) + count) % count] as T[];
  }
}
