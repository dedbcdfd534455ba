/** Identities as the guard makes them of addresses, each a flat string: a concatenation would be flattened by its first look-up. */
export function makeKeys(count) {
  return Array.from({ length: count }, (_, index) => makeKey(index));
}

export function makeKey(index) {
  return flat(`ip:10.${(index >>> 16) & 255}.${(index >>> 8) & 255}.${index & 255}`);
}

/**
 * Orders of all keys, one after another: each key once per pass.
 *
 * @param {'random' | 'in order'} access in the order they were made in, neighbours in memory come one after another
 */
export function makeOrder(count, passes, access) {
  if (access === 'in order') return Uint32Array.from({ length: count * passes }, (_, index) => index % count);
  const random = randomNumbers(count);
  const order = new Uint32Array(count * passes);
  for (let pass = 0; pass < passes; pass++) {
    const part = order.subarray(pass * count, (pass + 1) * count);
    for (let index = 0; index < count; index++) {
      const other = Math.floor(random() * (index + 1));
      part[index] = part[other];
      part[other] = index;
    }
  }
  return order;
}

export function flat(text) {
  return Buffer.from(text, 'latin1').toString('latin1');
}

/** mulberry32: the same numbers in every run. */
function randomNumbers(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
