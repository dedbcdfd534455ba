import { deepEqual, equal, ok } from 'node:assert/strict';
import { CasesOf } from '../define-cases.js';
import type { Limit } from '../../../core/limit.js';
import { HOUR, limitOf, MINUTE, passes, refused, SECOND, type Scenario } from '../scenario.js';
import { strategyTraces } from '../strategy-traces.js';

const topic = new CasesOf('boundaries');

topic.addPerRate(
  'allows exactly the amount and reports exact numbers at each step',
  async (scenario, strategy) => {
    await scenario.play(limitOf(strategy), strategyTraces[strategy].filling);
  },
);

topic.addPerRate(
  'refuses one ms before quota returns and allows exactly then',
  async (scenario, strategy) => {
    const traces = strategyTraces[strategy];
    await scenario.play(limitOf(strategy), [...traces.filling, ...traces.returning]);
  },
);

topic.addPerStrategy('has its full quota again once everything has expired', async (scenario, strategy) => {
  const limit = limitOf(strategy);
  await scenario.hit(limit, 3);
  scenario.at(2 * MINUTE);
  deepEqual(await scenario.look(limit, 3), passes(3, 0));
  equal((await scenario.hit(limit, 3)).allowed, true);
  equal((await scenario.hit(limit)).allowed, false);
});

topic.addPerRate(
  'allows every cost after exactly its retryAfter and not one ms earlier',
  async (scenario, strategy) => {
    const limit = limitOf(strategy, { amount: 5 });
    await spendFive(scenario, limit);
    equal((await scenario.look(limit)).allowed, false);
    for (let cost = 1; cost <= 5; cost++) {
      const { allowed, retryAfter } = await scenario.look(limit, cost);
      if (allowed) continue; // returned together with a smaller cost
      scenario.clock.advance(retryAfter - 1);
      deepEqual({ cost, early: (await scenario.look(limit, cost)).retryAfter }, { cost, early: 1 });
      scenario.clock.advance(1);
      deepEqual({ cost, allowed: (await scenario.look(limit, cost)).allowed }, { cost, allowed: true });
    }
  },
);

topic.addPerRate('has more left exactly at resetTime and not one ms earlier', async (scenario, strategy) => {
  const limit = limitOf(strategy, { amount: 5 });
  await spendFive(scenario, limit);
  let { remaining, resetAfter } = await scenario.look(limit);
  while (remaining < 5) {
    scenario.clock.advance(resetAfter - 1);
    deepEqual(await scenario.left(limit), remaining);
    scenario.clock.advance(1);
    const later = await scenario.look(limit);
    ok(later.remaining > remaining, `${later.remaining} are left at resetTime, and ${remaining} before it`);
    ({ remaining, resetAfter } = later);
  }
  equal(resetAfter, 0, 'once nothing is consumed, resetTime is now');
});

topic.add(
  'token-bucket: holds a burst above its amount and refills at its rate',
  ['token-bucket'],
  async (scenario) => {
    const limit = limitOf('token-bucket', { burst: 5 });
    deepEqual(await scenario.hit(limit, 5), passes(0, 20_000));
    deepEqual(await scenario.hit(limit), refused(0, 20_000, 20_000));
    scenario.at(99_999);
    deepEqual(await scenario.look(limit, 5), refused(4, 1, 1));
    scenario.at(100_000);
    deepEqual(await scenario.hit(limit, 5), passes(0, 20_000));
  },
);

topic.add(
  'token-bucket: holds a burst below its amount and refills at its rate',
  ['token-bucket'],
  async (scenario) => {
    const limit = limitOf('token-bucket', { burst: 1 });
    deepEqual(await scenario.hit(limit), passes(0, 20_000));
    scenario.at(19_999);
    deepEqual(await scenario.hit(limit), refused(0, 1, 1));
    scenario.at(20_000);
    deepEqual(await scenario.hit(limit), passes(0, 20_000));
  },
);

async function spendFive(scenario: Scenario, limit: Limit): Promise<void> {
  await scenario.hit(limit, 2);
  scenario.at(700);
  await scenario.hit(limit);
  scenario.at(1300);
  await scenario.hit(limit, 2);
}

topic.add(
  'token-bucket: a refused hit keeps the bucket as long as its smaller plan needs it',
  ['token-bucket', 'fixed-window'],
  async (scenario) => {
    const pro = limitOf('token-bucket', { id: 'plan', amount: 100, burst: 10 });
    const free = limitOf('token-bucket', { id: 'plan', amount: 1, burst: 10 });
    await scenario.hit(pro, 10); // full again after 6 s
    deepEqual(await scenario.hit(free), refused(0, MINUTE, MINUTE));
    scenario.at(15 * SECOND);
    await scenario.hit(limitOf('fixed-window', { id: 'other', period: HOUR })); // writes, and drops expired cells
    deepEqual(await scenario.look(free), refused(0, 45 * SECOND, 45 * SECOND));
  },
);

export const boundariesCases = topic.cases;
