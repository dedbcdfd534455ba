import { deepEqual } from 'node:assert/strict';
import { CasesOf } from '../define-cases.js';
import { hitsOn, limitOf, passes, refused, seen, SECOND } from '../scenario.js';

const topic = new CasesOf('costs');

topic.addPerStrategy('takes a cost of n as n units', async (scenario, strategy) => {
  const limit = limitOf(strategy, { amount: 5 });
  const remaining = [];
  for (const cost of [3, 1, 1, 1]) remaining.push((await scenario.hit(limit, cost)).remaining);
  deepEqual(remaining, [2, 1, 0, 0]);
});

topic.addPerStrategy(
  'refuses a cost above the remaining units and takes none of it',
  async (scenario, strategy) => {
    const limit = limitOf(strategy, { amount: 5 });
    await scenario.hit(limit, 3);
    const { allowed, remaining } = await scenario.hit(limit, 3);
    deepEqual({ allowed, remaining }, { allowed: false, remaining: 2 });
    deepEqual((await scenario.hit(limit, 2)).allowed, true);
  },
);

topic.addPerStrategy(
  'never allows a cost above the capacity, and takes nothing of it',
  async (scenario, strategy) => {
    const limit = limitOf(strategy);
    deepEqual(await scenario.hit(limit, 4), refused(3, 0, Infinity));
    deepEqual(await scenario.look(limit), passes(3, 0));
    const { resetAfter } = await scenario.hit(limit);
    deepEqual(await scenario.hit(limit, 4), refused(2, resetAfter, Infinity));
  },
);

topic.addPerRate('always allows a cost of 0, which changes nothing', async (scenario, strategy) => {
  const limit = limitOf(strategy);
  deepEqual(await scenario.hit(limit, 0), passes(3, 0));
  const { resetAfter } = await scenario.hit(limit, 3);
  scenario.at(SECOND);
  deepEqual(await scenario.hit(limit, 0), passes(0, resetAfter - SECOND));
  deepEqual(await scenario.look(limit, 0), passes(0, resetAfter - SECOND));
});

topic.addPerStrategy('refuses every cost except 0 when the amount is 0', async (scenario, strategy) => {
  const limit = limitOf(strategy, { amount: 0 });
  deepEqual(await scenario.hit(limit), refused(0, 0, Infinity));
  deepEqual(await scenario.hit(limit), refused(0, 0, Infinity));
  deepEqual(await scenario.hit(limit, 0), passes(0, 0));
});

topic.add(
  'one batch may take a different cost from each limit',
  ['fixed-window', 'moving-window'],
  async (scenario) => {
    const [fixed, moving] = [limitOf('fixed-window'), limitOf('moving-window')];
    const batch = [...hitsOn([fixed], 1), ...hitsOn([moving], 3)];
    deepEqual(seen(await scenario.consume(batch)), [passes(2, 60_000), passes(0, 60_000)]);
    deepEqual(await scenario.leftOf([fixed, moving]), [2, 0]);
  },
);

export const costsCases = topic.cases;
