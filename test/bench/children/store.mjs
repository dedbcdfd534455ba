/** A process with one subject in it: times its hits, and weighs what it keeps. */
import { answerQuestions } from '../support/child.mjs';
import { makeKeys, makeOrder } from '../support/keys.mjs';
import { hitAll } from '../support/hit-all.mjs';
import { collectGarbage, heapBytes } from '../support/heap.mjs';
import { processorTime } from '../support/processor-time.mjs';
import { subjects } from '../subjects.mjs';

const HITS_PER_KEY = 5;
/** Hits that are timed at least, over as many fresh stores as that takes. */
const LEAST_HITS = 250_000;

const [name, count, access] = [process.argv[2], Number(process.argv[3]), process.argv[4]];
const makeStore = await subjects[name]();
const keys = makeKeys(count);
const order = makeOrder(count, HITS_PER_KEY, access);
/** Stores are kept: the optimised code of one that is collected is thrown away with it, which a store in use never meets. */
const stores = [];

answerQuestions({
  /**
   * Nanoseconds of processor time per hit: of the first hits of all keys, on an empty store, of the later ones, and of all.
   */
  async time() {
    const repetitions = Math.ceil(LEAST_HITS / order.length);
    let [first, later] = [0, 0];
    for (let repetition = 0; repetition < repetitions; repetition++) {
      const store = makeStore();
      stores.push(store);
      await collectGarbage();
      first += await timeHits(store, order.subarray(0, count));
      later += await timeHits(store, order.subarray(count));
    }
    const hits = repetitions * order.length;
    return {
      first: (first * HITS_PER_KEY) / hits,
      later: (later * HITS_PER_KEY) / (HITS_PER_KEY - 1) / hits,
      all: (first + later) / hits,
    };
  },

  /** Bytes per key after five hits of each, beside the key itself. */
  async weigh() {
    stores.push(makeStore());
    await hitAll(stores[0], keys.slice(0, 100), makeOrder(100, HITS_PER_KEY, access)); // code and caches, made once
    const before = await heapBytes();
    const store = makeStore();
    await hitAll(store, keys, order);
    const after = await heapBytes();
    stores.push(store);
    return (after - before) / count;
  },
});

async function timeHits(store, part) {
  const start = process.cpuUsage();
  const refused = await hitAll(store, keys, part);
  const nanoseconds = processorTime(start) * 1000;
  if (refused > 0) throw new Error(`refused ${refused} hits; the benchmark is wrong`);
  return nanoseconds;
}
