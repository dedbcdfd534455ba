/** A key of a {@link SpaceSaving}. */
export interface FrequentKey {
  readonly key: string;
  /** At least the number of times that the key was added, and at most {@link error} more. */
  readonly count: number;
  /** The most by which `count` is too high. */
  readonly error: number;
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
  /** The place of each key in the heap. */
  readonly #places = new Map<string, number>();
  /** The heap: a count is not above those at places `2i + 1` and `2i + 2`. */
  readonly #keys: string[] = [];
  readonly #counts: number[] = [];
  readonly #errors: number[] = [];

  /** @param capacity k, the number of keys that are counted */
  constructor(readonly capacity: number) {}

  /** The number of keys that are counted now. */
  get size(): number {
    return this.#keys.length;
  }

  add(key: string): void {
    this.total++;
    const place = this.#places.get(key);
    if (place !== undefined) this.#put(place, key, (this.#counts[place] ?? 0) + 1, this.#errors[place] ?? 0);
    else if (this.#keys.length < this.capacity) this.#append(key);
    else this.#replaceLowest(key);
  }

  /** Returns the counted keys, the most frequent first. */
  top(length: number): FrequentKey[] {
    return this.#keys
      .map((key, place) => ({ key, count: this.#counts[place] ?? 0, error: this.#errors[place] ?? 0 }))
      .sort((one, other) => other.count - one.count || (one.key < other.key ? -1 : 1))
      .slice(0, length);
  }

  /** A count of 1 is the lowest that there is: moves it up past all higher ones. */
  #append(key: string): void {
    let place = this.#keys.length;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if ((this.#counts[parent] ?? 0) <= 1) break;
      this.#copy(parent, place);
      place = parent;
    }
    this.#set(place, key, 1, 0);
  }

  #replaceLowest(key: string): void {
    const lowest = this.#counts[0] ?? 0;
    this.#places.delete(this.#keys[0] ?? '');
    this.#put(0, key, lowest + 1, lowest);
  }

  /** Puts a raised count at its place or below, under all lower ones. */
  #put(from: number, key: string, count: number, error: number): void {
    let place = from;
    for (;;) {
      const left = 2 * place + 1;
      const right = left + 1;
      if (left >= this.#keys.length) break;
      const lower =
        right < this.#keys.length && (this.#counts[right] ?? 0) < (this.#counts[left] ?? 0) ? right : left;
      if ((this.#counts[lower] ?? 0) >= count) break;
      this.#copy(lower, place);
      place = lower;
    }
    this.#set(place, key, count, error);
  }

  #copy(from: number, to: number): void {
    this.#set(to, this.#keys[from] ?? '', this.#counts[from] ?? 0, this.#errors[from] ?? 0);
  }

  #set(place: number, key: string, count: number, error: number): void {
    this.#keys[place] = key;
    this.#counts[place] = count;
    this.#errors[place] = error;
    this.#places.set(key, place);
  }
}
