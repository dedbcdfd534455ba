import { deepEqual, equal } from 'node:assert/strict';
import type { BatchResult } from '../../../core/contract.js';
import { queueOf } from '../../../limiter/fair-queue.js';
import { CasesOf } from '../define-cases.js';
import { hitsOn, limitOf, MINUTE } from '../scenario.js';

const topic = new CasesOf('waiting');

const CALLERS = 4;
const STEP = MINUTE / 6;

topic.addPerRate(
  'callers that wait pass one after the other, and none before the limit allows it',
  async (scenario, strategy) => {
    const limit = limitOf(strategy, { amount: 1, period: MINUTE });
    const { storage, clock } = scenario;
    const batch = hitsOn([limit]);
    const passed: number[] = [];
    const begun = clock.now();
    let asking = 0;
    const consume = async (): Promise<BatchResult> => {
      asking++;
      const result = await storage.consume(batch);
      asking--;
      return result;
    };
    const callers = Array.from({ length: CALLERS }, async (_, caller) => {
      const { allowed, now } = await queueOf(storage).wait({
        batch,
        storage,
        consume,
        waitOf: () => ({ maxWait: Infinity, maxQueue: CALLERS }),
        signal: undefined,
      });
      equal(allowed, true);
      passed.push(caller);
      return now - begun;
    });
    while (passed.length < CALLERS) {
      await scenario.left(limit);
      if (asking === 0) clock.advance(STEP); // the first in line has been answered
    }
    const [first = 0, ...times] = await Promise.all(callers);
    deepEqual(
      [...passed].sort(),
      Array.from({ length: CALLERS }, (_, caller) => caller),
    );
    equal(first < MINUTE, true, 'the first caller does not wait');
    equal(Math.max(...times) >= 2 * MINUTE, true, 'the last caller waits for those ahead');
    equal(queueOf(storage).isEmpty, true);
  },
);

export const waitingCases = topic.cases;
