import type { Cell } from '../storages/contract.js';

/** How many identities are remembered. */
const MOST_BUCKETS = 10_000;

/** What is remembered of identities, by bucket; of too many, the one that was changed longest ago is forgotten. */
export class RecentBuckets<T> {
  readonly #entries = new Map<string, readonly T[]>();

  of(bucket: string): readonly T[] {
    return this.#entries.get(bucket) ?? [];
  }

  /** @returns what was remembered of an identity that is forgotten for this one */
  set(bucket: string, entries: readonly T[]): readonly T[] {
    this.#entries.delete(bucket); // to be the newest
    this.#entries.set(bucket, entries);
    if (this.#entries.size <= MOST_BUCKETS) return [];
    const [[oldest, forgotten] = ['', []]] = this.#entries;
    this.#entries.delete(oldest);
    return forgotten;
  }

  /** @returns what was remembered of the identities of these cells */
  forget(cells: readonly Cell[]): readonly T[] {
    if (this.#entries.size === 0) return [];
    return cells.flatMap(({ bucket }) => {
      const entries = this.of(bucket);
      this.#entries.delete(bucket);
      return entries;
    });
  }

  /** @returns what was remembered */
  clear(): readonly T[] {
    const all = [...this.#entries.values()].flat();
    this.#entries.clear();
    return all;
  }
}
