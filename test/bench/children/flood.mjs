/** A process that floods one memory storage with identities it has never seen. */
import { createLimit, MemoryStorage } from 'nestjs-limits';
import { answerQuestions } from '../support/child.mjs';
import { heapBytes } from '../support/heap.mjs';
import { flat, makeKey, makeKeys } from '../support/keys.mjs';
import { processorTime } from '../support/processor-time.mjs';

const AMOUNT = 10;
const PERIOD = 3_600_000;
const VICTIMS = 1000;
/** Keys weighed, to tell what of a cell is its key. */
const SAMPLE = 100_000;

const maxKeys = Number(process.argv[2]);
const limit = createLimit({ id: 'flood', strategy: 'fixed-window', amount: AMOUNT, period: PERIOD });
let now = Date.now();
const storage = new MemoryStorage({ maxKeys, clock: { now: () => now } });
const victims = Array.from({ length: VICTIMS }, (_, index) => flat(`key:victim-${index}`));
let flooded = 0;
let atStart;

answerQuestions({
  /** Brings the victims to their limit. Answers the bytes of a key, which a cell keeps. */
  async prepare() {
    const before = await heapBytes();
    const keys = makeKeys(SAMPLE);
    const keyBytes = ((await heapBytes()) - before) / SAMPLE - 8; // less the slot of the array
    keys.length = 0;
    for (let index = 0; index < 2000; index++) hit(`warm-up-${index}`);
    storage.reset();
    atStart = await heapBytes();
    exhaustVictims();
    return keyBytes;
  },

  /** Lets every window end, and brings the victims to their limit again. */
  endWindows() {
    now += PERIOD;
    exhaustVictims();
  },

  /** Hits so many new identities once each. Answers µs of processor time per hit, heap bytes gained since the start, and how many victims got through. */
  async flood(count) {
    const start = process.cpuUsage();
    const end = flooded + count;
    for (; flooded < end; flooded++) hit(makeKey(flooded));
    const microseconds = processorTime(start) / count;
    return {
      microseconds,
      bytes: (await heapBytes()) - atStart,
      forgotten: victims.filter((victim) => hit(victim)).length,
    };
  },

  /** How many identities were held; those that share a cell are one. */
  reset: () => storage.reset(),
});

function exhaustVictims() {
  for (const victim of victims) for (let count = 0; count < AMOUNT; count++) hit(victim);
}

function hit(identity) {
  return storage.consume([{ identity, limit, cost: 1 }]).allowed;
}
