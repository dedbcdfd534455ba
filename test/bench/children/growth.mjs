/** A process with one subject in it: times a hit of keys that have been hit once, and of keys that have been hit often. */
import { answerQuestions } from '../support/child.mjs';
import { makeKeys } from '../support/keys.mjs';
import { median } from '../support/statistics.mjs';

const PERIOD = 36_000_000;
const AMOUNT = 1_000_000;

const [name, hits, keyCount, passes, rounds] = process.argv
  .slice(2)
  .map((text, index) => (index === 0 ? text : Number(text)));
const keys = makeKeys(keyCount);
const makeStore = await subjectOf(name);

answerQuestions({
  /** Medians of ns per hit. The timed hits are few beside `hits`, and the rounds of both kinds alternate. */
  async compare() {
    const often = await makeWarmStore(hits);
    const once = [];
    const times = { once: [], often: [] };
    for (let round = 0; round < rounds; round++) {
      once.push(await makeWarmStore(1));
      times.once.push(await time(once.at(-1)));
      times.often.push(await time(often));
    }
    return { once: median(times.once), often: median(times.often) };
  },
});

async function makeWarmStore(count) {
  const store = makeStore();
  for (let pass = 0; pass < count; pass++) await hitEach(store);
  return store;
}

async function time(store) {
  const start = process.hrtime.bigint();
  for (let pass = 0; pass < passes; pass++) await hitEach(store);
  return Number(process.hrtime.bigint() - start) / (passes * keys.length);
}

/** One hit of each key, all in one ms of the store's clock. */
function hitEach({ hit, tick }) {
  tick();
  let last;
  for (let index = 0; index < keys.length; index++) last = hit(keys[index]);
  return last;
}

async function subjectOf(name) {
  if (name === '@nestjs/throttler') {
    const { ThrottlerStorageService } = await import('@nestjs/throttler');
    return () => {
      const storage = new ThrottlerStorageService();
      return { hit: (key) => storage.increment(key, PERIOD, AMOUNT, PERIOD, 'default'), tick() {} };
    };
  }
  const { createLimit, MemoryStorage } = await import('nestjs-limits');
  const limit = createLimit({ id: 'bench', strategy: name, amount: AMOUNT, period: PERIOD });
  return () => {
    let now = Date.now();
    const storage = new MemoryStorage({ clock: { now: () => now } });
    // Hits of one ms would be one entry of a moving window.
    return { hit: (key) => storage.consume([{ identity: key, limit, cost: 1 }]), tick: () => now++ };
  };
}
