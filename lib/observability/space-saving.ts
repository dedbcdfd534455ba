/** A key of a {@link SpaceSaving}. */
export interface FrequentKey {
  readonly key: string;
  /** At least the number of times that the key was added, and at most {@link error} more. */
  readonly count: number;
  /** The most by which `count` is too high. */
  readonly error: number;
}

interface Counter {
  key: string;
  count: number;
  error: number;
  /** Its place in the heap. */
  place: number;
}

/**
 * Finds the most frequent keys of a stream in bounded memory. Of N additions, a key that was added more than N/k times is
 * among the k counted ones, and no count is more than N/k too high.
 *
 * A new key replaces the one with the lowest count and continues from that count. The counts are a binary heap, so that the
 * lowest one is at the root.
 *
 * Source: A. Metwally, D. Agrawal, A. El Abbadi, "Efficient Computation of Frequent and Top-k Elements in Data Streams"
 * (ICDT 2005), the algorithm Space-Saving.
 */
export class SpaceSaving {
  /** Additions so far: N. */
  total = 0;
  readonly #counters = new Map<string, Counter>();
  /** The heap: a count is not above those at places `2i + 1` and `2i + 2`. */
  readonly #heap: Counter[] = [];

  /** @param capacity k, the number of keys that are counted */
  constructor(readonly capacity: number) {}

  /** The number of keys that are counted now. */
  get size(): number {
    return this.#heap.length;
  }

  add(key: string): void {
    this.total++;
    const known = this.#counters.get(key);
    const [lowest] = this.#heap;
    if (known !== undefined) this.#raise(known);
    else if (lowest === undefined || this.#heap.length < this.capacity) this.#append(key);
    else this.#replace(lowest, key);
  }

  /** Returns the counted keys, the most frequent first. */
  top(length: number): FrequentKey[] {
    return this.#heap
      .map(({ key, count, error }) => ({ key, count, error }))
      .sort((one, other) => other.count - one.count || (one.key < other.key ? -1 : 1))
      .slice(0, length);
  }

  /** A count of 1 is the lowest that there is: moves it up past all higher ones. */
  #append(key: string): void {
    const counter = { key, count: 1, error: 0, place: this.#heap.length };
    this.#counters.set(key, counter);
    this.#heap.push(counter);
    let above = this.#above(counter);
    while (above !== undefined && above.count > 1) {
      this.#swap(above, counter);
      above = this.#above(counter);
    }
  }

  #replace(counter: Counter, key: string): void {
    this.#counters.delete(counter.key);
    this.#counters.set(key, counter);
    counter.key = key;
    counter.error = counter.count;
    this.#raise(counter);
  }

  /** Adds one to a count, and moves it down past all lower ones. */
  #raise(counter: Counter): void {
    counter.count++;
    let below = this.#below(counter);
    while (below !== undefined && below.count < counter.count) {
      this.#swap(counter, below);
      below = this.#below(counter);
    }
  }

  #above({ place }: Counter): Counter | undefined {
    return place === 0 ? undefined : this.#heap[(place - 1) >> 1];
  }

  /** Returns the lower one of the two counters below. */
  #below({ place }: Counter): Counter | undefined {
    const left = this.#heap[2 * place + 1];
    const right = this.#heap[2 * place + 2];
    return left === undefined || right === undefined || right.count >= left.count ? left : right;
  }

  #swap(above: Counter, below: Counter): void {
    [above.place, below.place] = [below.place, above.place];
    this.#heap[above.place] = above;
    this.#heap[below.place] = below;
  }
}
