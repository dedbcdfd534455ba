import { deepEqual, equal, ok } from 'node:assert/strict';
import type { StrategyName } from '../../../strategies/strategy.js';
import { CasesOf } from '../define-cases.js';
import type { Limit } from '../../../core/limit.js';
import {
  hit,
  HOUR,
  limitOf,
  look,
  MINUTE,
  passes,
  refused,
  SECOND,
  type Scenario,
  type Step,
} from '../scenario.js';

const topic = new CasesOf('boundaries');

/** Three hits per minute: what four hits in a row meet. */
const filling: Readonly<Record<StrategyName, readonly Step[]>> = {
  'fixed-window': [
    hit(0, passes(2, 60_000)),
    hit(1000, passes(1, 59_000)),
    hit(2000, passes(0, 58_000)),
    hit(3000, refused(0, 57_000, 57_000)),
  ],
  'fixed-window-elastic-expiry': [
    hit(0, passes(2, 60_000)),
    hit(1000, passes(1, 60_000)),
    hit(2000, passes(0, 60_000)),
    hit(3000, refused(0, 60_000, 60_000)),
  ],
  'moving-window': [
    hit(0, passes(2, 60_000)),
    hit(1000, passes(1, 59_000)),
    hit(2000, passes(0, 58_000)),
    hit(3000, refused(0, 57_000, 57_000)),
  ],
  'sliding-window-counter': [
    hit(0, passes(2, 60_001)),
    hit(1000, passes(1, 59_001)),
    hit(2000, passes(0, 58_001)),
    hit(3000, refused(0, 57_001, 57_001)),
  ],
  'token-bucket': [
    hit(0, passes(2, 20_000)),
    hit(1000, passes(1, 19_000)),
    hit(2000, passes(0, 18_000)),
    hit(3000, refused(0, 17_000, 17_000)),
  ],
};

/** And what later hits meet, one ms before and exactly when there is more. */
const returning: Readonly<Record<StrategyName, readonly Step[]>> = {
  'fixed-window': [
    hit(59_999, refused(0, 1, 1)),
    hit(60_000, passes(2, 60_000)),
    look(119_999, passes(2, 1)),
    look(120_000, passes(3, 0)),
  ],
  'fixed-window-elastic-expiry': [
    look(62_999, refused(0, 1, 1)),
    hit(62_999, refused(0, 60_000, 60_000)),
    look(122_998, refused(0, 1, 1)),
    hit(122_999, passes(2, 60_000)),
    look(182_998, passes(2, 1)),
    look(182_999, passes(3, 0)),
  ],
  'moving-window': [
    hit(59_999, refused(0, 1, 1)),
    hit(60_000, passes(0, 1000)),
    hit(60_999, refused(0, 1, 1)),
    hit(61_000, passes(0, 1000)),
    look(119_999, passes(1, 1)),
    look(120_000, passes(2, 1000)),
    look(121_000, passes(3, 0)),
  ],
  'sliding-window-counter': [
    hit(60_000, refused(0, 1, 1)),
    hit(60_001, passes(0, 20_000)),
    hit(80_000, refused(0, 1, 1)),
    hit(80_001, passes(0, 20_000)),
    look(119_999, passes(1, 2)),
    look(120_000, passes(1, 1)),
    look(120_001, passes(2, 30_000)),
    look(150_000, passes(2, 1)),
    look(150_001, passes(3, 0)),
  ],
  'token-bucket': [
    hit(19_999, refused(0, 1, 1)),
    hit(20_000, passes(0, 20_000)),
    hit(39_999, refused(0, 1, 1)),
    hit(40_000, passes(0, 20_000)),
    look(99_999, passes(2, 1)),
    look(100_000, passes(3, 0)),
  ],
};

topic.addPerStrategy(
  'lets exactly the amount pass and tells exact numbers at each step',
  async (scenario, strategy) => {
    await scenario.play(limitOf(strategy), filling[strategy]);
  },
);

topic.addPerStrategy(
  'refuses one ms before quota returns and allows exactly then',
  async (scenario, strategy) => {
    await scenario.play(limitOf(strategy), [...filling[strategy], ...returning[strategy]]);
  },
);

topic.addPerStrategy('has its whole quota again once everything has expired', async (scenario, strategy) => {
  const limit = limitOf(strategy);
  await scenario.hit(limit, 3);
  scenario.at(2 * MINUTE);
  deepEqual(await scenario.look(limit, 3), passes(3, 0));
  equal((await scenario.hit(limit, 3)).allowed, true);
  equal((await scenario.hit(limit)).allowed, false);
});

topic.addPerStrategy(
  'allows every cost after exactly its retryAfter and not one ms earlier',
  async (scenario, strategy) => {
    const limit = limitOf(strategy, { amount: 5 });
    await spendFive(scenario, limit);
    equal((await scenario.look(limit)).allowed, false);
    for (let cost = 1; cost <= 5; cost++) {
      const { allowed, retryAfter } = await scenario.look(limit, cost);
      if (allowed) continue; // came back together with a smaller cost
      scenario.clock.advance(retryAfter - 1);
      deepEqual({ cost, early: (await scenario.look(limit, cost)).retryAfter }, { cost, early: 1 });
      scenario.clock.advance(1);
      deepEqual({ cost, allowed: (await scenario.look(limit, cost)).allowed }, { cost, allowed: true });
    }
  },
);

topic.addPerStrategy(
  'has more left exactly at resetTime and not one ms earlier',
  async (scenario, strategy) => {
    const limit = limitOf(strategy, { amount: 5 });
    await spendFive(scenario, limit);
    let { remaining, resetAfter } = await scenario.look(limit);
    while (remaining < 5) {
      scenario.clock.advance(resetAfter - 1);
      deepEqual(await scenario.left(limit), remaining);
      scenario.clock.advance(1);
      const later = await scenario.look(limit);
      ok(
        later.remaining > remaining,
        `at resetTime, ${later.remaining} are left, and ${remaining} before it`,
      );
      ({ remaining, resetAfter } = later);
    }
    equal(resetAfter, 0, 'once nothing is consumed, resetTime is now');
  },
);

topic.add(
  'token-bucket: holds a burst above its amount and refills at its pace',
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
  'token-bucket: holds a burst below its amount and refills at its pace',
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
    await scenario.hit(limitOf('fixed-window', { id: 'other', period: HOUR })); // writes, and drops what has expired
    deepEqual(await scenario.look(free), refused(0, 45 * SECOND, 45 * SECOND));
  },
);

export const boundariesCases = topic.cases;
