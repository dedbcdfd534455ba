/** A process with one subject in it, over a Redis server that it has for itself while it is asked: times its decisions on both sides. */
import { Redis } from 'ioredis';
import { answerQuestions } from '../support/child.mjs';
import { makeKeys, makeOrder } from '../support/keys.mjs';
import { processorTime } from '../support/processor-time.mjs';
import { median } from '../support/statistics.mjs';
import { DECISIONS, IN_FLIGHT, subjects } from '../redis-subjects.mjs';

const KEYS = 1000;

const [name, uri, limits] = [process.argv[2], process.argv[3], Number(process.argv[4])];
const { open, inFlight = IN_FLIGHT, decisions = DECISIONS } = subjects[name];
const { decide, isAllowed } = await open(uri, limits);
const control = new Redis(uri);
const keys = makeKeys(KEYS);
const firstHits = makeOrder(KEYS, 1, 'random');
const order = makeOrder(KEYS, decisions / KEYS, 'random');

answerQuestions({
  /**
   * µs of processor time per decision, of the server and of this process, on keys that have been hit
   * before; and the median of the µs that a decision takes.
   */
  async time() {
    await control.flushall();
    await decideAll(firstHits);
    const before = await serverTime();
    const start = process.cpuUsage();
    const begin = performance.now();
    const latencies = [];
    await decideAll(order, latencies);
    const seconds = (performance.now() - begin) / 1000;
    const node = processorTime(start) / decisions;
    const redis = ((await serverTime()) - before) / decisions;
    return { redis, node, rate: decisions / seconds, latency: median(latencies) };
  },
});

async function decideAll(order, latencies = []) {
  let next = 0;
  let refused = 0;
  const decideInTurn = async () => {
    while (next < order.length) {
      const begin = performance.now();
      if (!isAllowed(await decide(keys[order[next++]]))) refused++;
      latencies.push((performance.now() - begin) * 1000);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, decideInTurn));
  if (refused > 0) throw new Error(`refused ${refused} hits; the benchmark is wrong`);
}

/** Processor time of the server so far, in µs. */
async function serverTime() {
  const info = await control.info('cpu');
  const seconds = (field) => Number(new RegExp(`^${field}:(.+)$`, 'm').exec(info)[1]);
  return (seconds('used_cpu_user') + seconds('used_cpu_sys')) * 1e6;
}
