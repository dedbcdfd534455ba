import { equal, ok } from 'node:assert/strict';
import { Meter } from '../../../limiter/meter.js';
import { CasesOf } from '../define-cases.js';
import { hitsOn, HOUR, limitOf } from '../scenario.js';

const topic = new CasesOf('meters');

const STREAMS = 12;
const BUDGET = 1000;
const STEP = 100;

topic.addPerRate(
  'twelve metered streams never exceed a budget, and use all of it but less than one step',
  async (scenario, strategy) => {
    const limit = limitOf(strategy, { amount: BUDGET, period: HOUR });
    const streams = Array.from({ length: STREAMS }, async (_, stream) => {
      const meter = new Meter(scenario.storage, hitsOn([limit]), STEP);
      // A faulty storage may never refuse.
      for (let part = stream; meter.used <= BUDGET && (await meter.add(1 + (part % 7))); part++);
      await meter.end();
      return meter.used;
    });
    const used = (await Promise.all(streams)).reduce((sum, one) => sum + one, 0);
    ok(used <= BUDGET && used > BUDGET - STEP, `${used} of ${BUDGET} were used`);
    equal(await scenario.left(limit), BUDGET - used);
  },
);

export const metersCases = topic.cases;
