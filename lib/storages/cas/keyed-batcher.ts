interface Waiting<Item, Result> {
  readonly keys: readonly string[];
  readonly item: Item;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

/** Maximum items and keys of one run. A single item may have more keys. */
const MAX_ITEMS = 64;
const MAX_KEYS = 64;

/**
 * Runs items that each need some keys. Runs that share a key never overlap. Items that arrive
 * during a run wait, and the next run handles them together in the order of arrival.
 */
export class KeyedBatcher<Item, Result> {
  /** The items that wait for each key, in order. */
  readonly #lines = new Map<string, Waiting<Item, Result>[]>();
  /** The keys of the current runs. */
  readonly #held = new Set<string>();

  /**
   * @param run handles items that together need these keys, and returns the results in the same
   * order
   */
  constructor(
    private readonly run: (keys: readonly string[], items: readonly Item[]) => Promise<readonly Result[]>,
  ) {}

  /**
   * Resolves with the result of the item, or rejects with the error of its run.
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

  /** Starts a run with the first item that waits for a key, and with all items that fit into it. */
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
          keys.add(needed); // the loop then visits its line too
        }
      }
    }
    if (entries.length > 0) void this.#runTogether([...keys], entries);
  }

  /**
   * Returns true if an entry is first in line for all of its keys, and fits into a run with the
   * given keys and size.
   */
  #fits(entry: Waiting<Item, Result>, keys: ReadonlySet<string>, size: number): boolean {
    const others = entry.keys.filter((key) => !keys.has(key));
    if (size > 0 && (size === MAX_ITEMS || keys.size + others.length > MAX_KEYS)) return false;
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
