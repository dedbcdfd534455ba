/** A process of an application, with all that stands before a remote storage. Told to decide, it says what it took. */
import { createLimit } from 'nestjs-limits';
import { RedisStorage } from 'nestjs-limits/redis';
import { setTimeout as sleep } from 'node:timers/promises';
import { resilient } from '../../../dist/esm/resilience/resilient-storage.js';
import { resolveResilience } from '../../../dist/esm/resilience/resilience.options.js';
import { answerQuestions } from '../support/child.mjs';
import { heapBytes } from '../support/heap.mjs';
import { processorTime } from '../support/processor-time.mjs';
import { quantile } from '../support/statistics.mjs';

const HOUR = 3_600_000;

const health = { state: 'well' };
let calls = 0;
let storage;

class CountedRedis extends RedisStorage {
  consume(batch) {
    calls++;
    return super.consume(batch);
  }
}

answerQuestions({
  async open(uri, options) {
    storage = resilient(new CountedRedis(uri), resolveResilience(options), {
      degraded: () => (health.state = 'degraded'),
      recovered: () => (health.state = 'well'),
    });
    await storage.check();
  },

  /** Decides so often, so many at a time, on so many identities in turn: calls, admitted, µs of processor time, decisions/s. */
  async decide({ amount, strategy = 'fixed-window', decisions, inFlight, identities }) {
    const limit = createLimit({ id: `${strategy} ${amount}`, strategy, amount, period: HOUR });
    const batches = Array.from({ length: identities }, (_, index) => [
      { identity: `somebody-${index}`, limit, cost: 1 },
    ]);
    const callsBefore = calls;
    let begun = 0;
    let admitted = 0;
    const client = async () => {
      while (begun < decisions) {
        const answer = storage.consume(batches[begun++ % identities]);
        const { allowed } = typeof answer.then === 'function' ? await answer : answer;
        if (allowed) admitted++;
        if (begun % 256 === 0) await sleep(0); // a server has other things to do too
      }
    };
    const start = process.cpuUsage();
    const begin = performance.now();
    await Promise.all(Array.from({ length: inFlight }, client));
    const seconds = (performance.now() - begin) / 1000;
    return {
      admitted,
      calls: calls - callsBefore,
      node: processorTime(start) / decisions,
      rate: decisions / seconds,
    };
  },

  /** One identity that is refused asks for so long without a pause. */
  async insist(milliseconds) {
    const limit = createLimit({ id: 'insist', strategy: 'fixed-window', amount: 1, period: HOUR });
    const batch = [{ identity: 'somebody', limit, cost: 1 }];
    await storage.consume(batch);
    const callsBefore = calls;
    const begin = performance.now();
    let asked = 0;
    let working = 0;
    while (performance.now() - begin < milliseconds) {
      const start = performance.now();
      for (let time = 0; time < 1000; time++) {
        const answer = storage.consume(batch);
        if (typeof answer.then === 'function') await answer;
      }
      working += performance.now() - start;
      asked += 1000;
      await sleep(1);
    }
    return { asked, calls: calls - callsBefore, each: (working * 1000) / asked };
  },

  /** So many clients, each of which asks again as soon as it is answered and has drawn breath. */
  async flood(concurrency, milliseconds) {
    const limit = createLimit({ id: 'flood', strategy: 'fixed-window', amount: 1_000_000, period: HOUR });
    const bytes = await heapBytes();
    const times = [];
    let failures = 0;
    let next = 0;
    const end = performance.now() + milliseconds;
    const client = async () => {
      while (performance.now() < end) {
        const begin = performance.now();
        try {
          await storage.consume([{ identity: `somebody-${next++ % 1000}`, limit, cost: 1 }]);
        } catch {
          failures++;
        }
        if (times.length < 200_000) times.push(performance.now() - begin);
        await sleep(5);
      }
    };
    await Promise.all(Array.from({ length: concurrency }, client));
    const tail = quantile(times, 0.99);
    times.length = 0;
    return { asked: next, failures, tail, growth: (await heapBytes()) - bytes, state: health.state };
  },

  /** Ms until the store is asked again. */
  async recovery() {
    const begin = performance.now();
    while (health.state !== 'well') await sleep(5);
    return performance.now() - begin;
  },
});

let unhandled = 0;
process.on('unhandledRejection', () => {
  if (unhandled++ === 0) console.error('NOT MET  an unhandled rejection');
});
