/**
 * Remembers what was made of a text. Once it is full it forgets everything: texts that come again and again are soon
 * remembered anew, and those of whoever sends ever new ones take no more room.
 */
export class Memo<Value> {
  readonly #made = new Map<string, Value>();

  /** @param most how many values are remembered */
  constructor(private readonly most: number) {}

  /** What was made of a text; made now where it is not remembered. Nothing is remembered of what `make` throws. */
  get(text: string, make: (text: string) => Value): Value {
    const known = this.#made.get(text);
    if (known !== undefined) return known;
    const made = make(text);
    if (this.#made.size >= this.most) this.#made.clear();
    this.#made.set(text, made);
    return made;
  }
}
