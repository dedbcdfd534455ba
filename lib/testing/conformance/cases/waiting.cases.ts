import { deepEqual, equal, ok } from 'node:assert/strict';
import type { BatchResult, Hit } from '../../../core/contract.js';
import type { Storage } from '../../../core/storage.js';
import { queueOf } from '../../../limiter/fair-queue.js';
import { CasesOf } from '../define-cases.js';
import { hitsOn, HOUR, limitOf, MINUTE } from '../scenario.js';

const topic = new CasesOf('waiting');

const CALLERS = 4;
const STEP = MINUTE / 6;
/** Far longer than the callers of a correct storage wait. With a faulty one, the case must end too. */
const MAX_WAIT = HOUR;

topic.addPerRate(
  'callers that wait pass one after the other, and none before the limit allows it',
  async (scenario, strategy) => {
    const limit = limitOf(strategy, { amount: 1, period: MINUTE });
    const { storage, clock } = scenario;
    const begun = clock.now();
    const line = new WaitingCallers(storage, hitsOn([limit]));
    try {
      while (line.passedAt.length < CALLERS) {
        await scenario.left(limit);
        if (line.isAsking) continue;
        ok(clock.now() - begun < MAX_WAIT, 'all callers pass within an hour');
        clock.advance(STEP); // the first in line has been answered
      }
    } finally {
      await line.end();
    }
    const times = line.passedAt.map((time) => time - begun);
    equal(Math.min(...times) < MINUTE, true, 'the first caller does not wait');
    equal(Math.max(...times) >= 2 * MINUTE, true, 'the last caller waits for those ahead');
    deepEqual([line.passedAt.length, queueOf(storage).isEmpty], [CALLERS, true]);
  },
);

/** Callers that wait for the same batch. */
class WaitingCallers {
  /** When each caller passed, by the clock of the storage. */
  readonly passedAt: number[] = [];
  readonly #leave = new AbortController();
  readonly #ended: Promise<unknown>;
  #asking = 0;

  constructor(
    private readonly storage: Storage,
    private readonly batch: readonly Hit[],
  ) {
    this.#ended = Promise.allSettled(Array.from({ length: CALLERS }, () => this.#wait()));
  }

  /** True while a caller calls the storage. */
  get isAsking(): boolean {
    return this.#asking > 0;
  }

  /** Makes the callers leave that still wait. */
  async end(): Promise<void> {
    this.#leave.abort();
    await this.#ended;
  }

  async #wait(): Promise<void> {
    const { allowed, now } = await queueOf(this.storage).wait({
      batch: this.batch,
      storage: this.storage,
      consume: () => this.#consume(),
      waitOf: () => ({ maxWait: Infinity, maxQueue: CALLERS }),
      signal: this.#leave.signal,
    });
    if (allowed) this.passedAt.push(now);
  }

  async #consume(): Promise<BatchResult> {
    this.#asking++;
    try {
      return await this.storage.consume(this.batch);
    } finally {
      this.#asking--;
    }
  }
}

export const waitingCases = topic.cases;
