/**
 * Hits the keys in an order, and returns how many hits were refused. Awaits only what answers with promises.
 *
 * @param order indices of keys
 */
export async function hitAll(store, keys, order) {
  return store.hit(keys[order[0]]) instanceof Promise
    ? hitAsync(store, keys, order)
    : hitSync(store, keys, order);
}

function hitSync({ hit, isAllowed }, keys, order) {
  let refused = 0;
  for (let index = 1; index < order.length; index++) {
    if (!isAllowed(hit(keys[order[index]]))) refused++;
  }
  return refused;
}

async function hitAsync({ hit, isAllowed }, keys, order) {
  let refused = 0;
  for (let index = 1; index < order.length; index++) {
    if (!isAllowed(await hit(keys[order[index]]))) refused++;
  }
  return refused;
}
