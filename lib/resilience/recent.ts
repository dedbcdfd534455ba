/** How many identities are remembered. */
const MAX_IDENTITIES = 10_000;

const NONE: readonly never[] = [];

/** What is remembered by key; of too many, what was changed longest ago is forgotten. */
export class Recent<T> {
  readonly #entries = new Map<string, readonly T[]>();

  get(key: string): readonly T[] {
    return this.#entries.get(key) ?? NONE;
  }

  /** @returns what is forgotten for it */
  set(key: string, entries: readonly T[]): readonly T[] {
    this.#entries.delete(key); // to be the newest
    this.#entries.set(key, entries);
    if (this.#entries.size <= MAX_IDENTITIES) return NONE;
    const [oldest, forgotten] = this.#entries.entries().next().value as [string, readonly T[]];
    this.#entries.delete(oldest);
    return forgotten;
  }

  /** @returns what was remembered */
  clear(): readonly T[] {
    const all = [...this.#entries.values()].flat();
    this.#entries.clear();
    return all;
  }
}
