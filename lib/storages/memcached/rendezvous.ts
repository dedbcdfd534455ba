/**
 * Places keys by the highest random weight. Processes with the same names, in any order, place a
 * key alike. Adding or removing a name moves only the keys of that name.
 */
export class Rendezvous<T> {
  readonly #places: readonly { readonly item: T; readonly seed: number }[];

  /** @param items at least one */
  constructor(items: readonly T[], nameOf: (item: T) => string) {
    this.#places = items.map((item) => ({ item, seed: hash(nameOf(item)) }));
  }

  /** Returns the item that a key belongs to. */
  place(key: string): T {
    const keyHash = hash(key);
    const weight = (seed: number): number => mix(keyHash ^ seed);
    return this.#places.reduce((best, place) => (weight(place.seed) > weight(best.seed) ? place : best)).item;
  }
}

/** Computes the FNV-1a hash. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    value = Math.imul(value ^ text.charCodeAt(index), 0x01000193);
  }
  return value;
}

/** Applies the finalizer of MurmurHash3: each bit of the value changes half of the bits of the result. */
function mix(value: number): number {
  let mixed = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
