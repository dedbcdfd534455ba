interface Waiting<Item, Result> {
  readonly keys: readonly string[];
  readonly item: Item;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

/** How many items one run takes at most, and over how many keys, unless a single item has more. */
const MAX_TOGETHER = 64;
const MAX_KEYS = 64;

/**
 * Runs items that each need some keys. Runs that share a key never overlap; what arrives for their keys meanwhile goes
 * together into the next one, in the order of arrival.
 */
export class KeyedBatcher<Item, Result> {
  /** By key, who waits for it, in order. */
  readonly #lines = new Map<string, Waiting<Item, Result>[]>();
  /** The keys of the runs under way. */
  readonly #held = new Set<string>();

  /** @param run handles items that need these keys between them, in order; its results stand in the same order */
  constructor(
    private readonly run: (keys: readonly string[], items: readonly Item[]) => Promise<readonly Result[]>,
  ) {}

  /**
   * Resolves with the item's own result, or rejects with what failed the run it was part of.
   *
   * @param keys at least one, each once
   */
  add(keys: readonly string[], item: Item): Promise<Result> {
    return new Promise((resolve, reject) => {
      const entry = { keys, item, resolve, reject };
      for (const key of keys) {
        const line = this.#lines.get(key);
        if (line === undefined) this.#lines.set(key, [entry]);
        else line.push(entry);
      }
      for (const key of keys) this.#start(key);
    });
  }

  /** Starts a run with whoever is first in line for a key, and with all who can go along. */
  #start(first: string): void {
    if (this.#held.has(first)) return;
    const keys = new Set([first]);
    const entries: Waiting<Item, Result>[] = [];
    for (const key of keys) {
      for (;;) {
        const entry = this.#lines.get(key)?.[0];
        if (entry === undefined || !this.#fits(entry, keys, entries.length)) break;
        entries.push(entry);
        for (const needed of entry.keys) {
          this.#lines.get(needed)?.shift();
          keys.add(needed); // and so its line is looked at, too
        }
      }
    }
    if (entries.length > 0) void this.#runTogether([...keys], entries);
  }

  /** Whether it is an entry's turn on all of its keys, in a run that holds some already. */
  #fits(entry: Waiting<Item, Result>, keys: ReadonlySet<string>, together: number): boolean {
    const others = entry.keys.filter((key) => !keys.has(key));
    if (together > 0 && (together === MAX_TOGETHER || keys.size + others.length > MAX_KEYS)) return false;
    return (
      entry.keys.every((key) => this.#lines.get(key)?.[0] === entry) &&
      !others.some((key) => this.#held.has(key))
    );
  }

  async #runTogether(keys: readonly string[], entries: readonly Waiting<Item, Result>[]): Promise<void> {
    for (const key of keys) this.#held.add(key);
    try {
      const results = await this.run(
        keys,
        entries.map((entry) => entry.item),
      );
      entries.forEach((entry, index) => entry.resolve(results[index] as Result));
    } catch (error) {
      for (const entry of entries) entry.reject(error);
    }
    for (const key of keys) {
      this.#held.delete(key);
      if (this.#lines.get(key)?.length === 0) this.#lines.delete(key);
    }
    for (const key of keys) this.#start(key);
  }
}
