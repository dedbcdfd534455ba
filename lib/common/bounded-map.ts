/** A map with a maximum total weight. When it is exceeded, the entries that were set first are dropped. */
export class BoundedMap<Value> {
  readonly #values = new Map<string, Value>();
  #weight = 0;

  /**
   * @param max maximum total weight
   * @param weigh returns the weight of a value, always the same for one value. Default: 1, so that
   *   `max` is a number of entries
   */
  constructor(
    private readonly max: number,
    private readonly weigh: (value: Value) => number = () => 1,
  ) {}

  get(key: string): Value | undefined {
    return this.#values.get(key);
  }

  /** Returns all values, the newest last. */
  values(): Value[] {
    return [...this.#values.values()];
  }

  /** Returns the value of a key, and makes and stores it if it is missing. Nothing is stored if `make` throws. */
  getOrMake(key: string, make: (key: string) => Value): Value {
    const known = this.#values.get(key);
    if (known !== undefined) return known;
    const made = make(key);
    this.set(key, made);
    return made;
  }

  /**
   * Sets a value as the newest.
   *
   * @returns the values that were dropped to make room
   */
  set(key: string, value: Value): readonly Value[] {
    this.delete(key);
    this.#values.set(key, value);
    this.#weight += this.weigh(value);
    if (this.#weight <= this.max) return NONE;
    const dropped: Value[] = [];
    for (const [oldest, old] of this.#values) {
      if (this.#weight <= this.max) break;
      this.delete(oldest);
      dropped.push(old);
    }
    return dropped;
  }

  delete(key: string): void {
    const value = this.#values.get(key);
    if (value !== undefined && this.#values.delete(key)) this.#weight -= this.weigh(value);
  }

  /** @returns the values that were removed */
  clear(): readonly Value[] {
    const all = [...this.#values.values()];
    this.#values.clear();
    this.#weight = 0;
    return all;
  }
}

const NONE: readonly never[] = [];
