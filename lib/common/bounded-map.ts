/** A map of texts that holds so much at most: for more, what was set longest ago is forgotten. */
export class BoundedMap<Value> {
  readonly #values = new Map<string, Value>();
  #weight = 0;

  /**
   * @param max what all values may weigh together
   * @param weigh what one of them weighs, always the same. Default: 1, so that `max` is how many there may be
   */
  constructor(
    private readonly max: number,
    private readonly weigh: (value: Value) => number = () => 1,
  ) {}

  get(key: string): Value | undefined {
    return this.#values.get(key);
  }

  /** What is remembered of a text; made now where it is not. Nothing is remembered of what `make` throws. */
  getOrMake(key: string, make: (key: string) => Value): Value {
    const known = this.#values.get(key);
    if (known !== undefined) return known;
    const made = make(key);
    this.set(key, made);
    return made;
  }

  /**
   * Sets a value, which is the newest then.
   *
   * @returns what is forgotten for it
   */
  set(key: string, value: Value): readonly Value[] {
    this.delete(key);
    this.#values.set(key, value);
    this.#weight += this.weigh(value);
    if (this.#weight <= this.max) return NONE;
    const forgotten: Value[] = [];
    for (const [oldest, old] of this.#values) {
      if (this.#weight <= this.max) break;
      this.delete(oldest);
      forgotten.push(old);
    }
    return forgotten;
  }

  delete(key: string): void {
    const value = this.#values.get(key);
    if (value !== undefined && this.#values.delete(key)) this.#weight -= this.weigh(value);
  }

  /** @returns what was remembered */
  clear(): readonly Value[] {
    const all = [...this.#values.values()];
    this.#values.clear();
    this.#weight = 0;
    return all;
  }
}

const NONE: readonly never[] = [];
