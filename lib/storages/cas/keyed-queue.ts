interface Waiting<Item, Result> {
  item: Item;
  resolve: (result: Result) => void;
  reject: (error: unknown) => void;
}

/** How many items one run takes at most. */
const MOST_TOGETHER = 64;

/** Runs one batch of items per key at a time; what arrives meanwhile forms the next batch. */
export class KeyedQueue<Item, Result> {
  readonly #waiting = new Map<string, Waiting<Item, Result>[]>();

  /** @param run handles items of one key, in order; its results stand in the same order */
  constructor(private readonly run: (key: string, items: readonly Item[]) => Promise<Result[]>) {}

  /** Resolves with the item's own result, or rejects with what failed the run it was part of. */
  add(key: string, item: Item): Promise<Result> {
    return new Promise((resolve, reject) => {
      const entry = { item, resolve, reject };
      const waiting = this.#waiting.get(key);
      if (waiting !== undefined) {
        waiting.push(entry);
        return;
      }
      this.#waiting.set(key, [entry]);
      void this.#drain(key);
    });
  }

  async #drain(key: string): Promise<void> {
    for (;;) {
      const entries = this.#waiting.get(key)?.splice(0, MOST_TOGETHER) ?? [];
      if (entries.length === 0) break;
      try {
        const results = await this.run(
          key,
          entries.map((entry) => entry.item),
        );
        entries.forEach((entry, index) => entry.resolve(results[index] as Result));
      } catch (error) {
        for (const entry of entries) entry.reject(error);
      }
    }
    this.#waiting.delete(key);
  }
}
