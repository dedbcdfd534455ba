/** An item waiting to be sent. */
export interface Waiting<Item, Result> {
  readonly item: Item;
  /** When the item was added, by `performance.now()`. */
  readonly since: number;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Maximum items in one call: enough to spread the cost of a call, few enough to hold locks briefly.
 */
const MAX_GATHERED = 64;

/**
 * Gathers the items of one turn of the event loop into one call per group. Items that arrive while
 * the maximum number of calls is in flight wait for the next call.
 */
export class CallGatherer<Group, Item, Result> {
  readonly #waiting = new Map<Group, Waiting<Item, Result>[]>();
  #calls = 0;
  #scheduled = false;

  /**
   * @param concurrency maximum calls in flight
   * @param send resolves or rejects every item passed to it, and never rejects itself
   */
  constructor(
    private readonly concurrency: number,
    private readonly send: (group: Group, waiting: readonly Waiting<Item, Result>[]) => Promise<void>,
  ) {}

  /** @param group items of different groups never share a call */
  add(group: Group, item: Item): Promise<Result> {
    return new Promise((resolve, reject) => {
      const waiting = this.#waiting.get(group);
      const entry = { item, since: performance.now(), resolve, reject };
      if (waiting === undefined) this.#waiting.set(group, [entry]);
      else waiting.push(entry);
      if (this.#scheduled) return;
      this.#scheduled = true;
      setImmediate(() => {
        this.#scheduled = false;
        this.#sendAll();
      });
    });
  }

  #sendAll(): void {
    while (this.#calls < this.concurrency) {
      const [next] = [...this.#waiting].sort(([, one], [, other]) => oldest(one) - oldest(other));
      if (next === undefined) return;
      const [group, waiting] = next;
      const gathered = waiting.splice(0, MAX_GATHERED);
      if (waiting.length === 0) this.#waiting.delete(group);
      this.#calls++;
      void this.send(group, gathered).finally(() => {
        this.#calls--;
        this.#sendAll();
      });
    }
  }
}

function oldest([first]: readonly Waiting<unknown, never>[]): number {
  return first?.since ?? Infinity;
}
