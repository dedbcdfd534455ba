import { deepEqual, equal } from 'node:assert/strict';
import { CasesOf } from '../define-cases.js';
import { DAY, HOUR, limitOf, MINUTE, passes, refused, SECOND } from '../scenario.js';
import { strategyTraces } from '../strategy-traces.js';

const topic = new CasesOf('clocks');

topic.addPerRate('keeps its count for longer than 30 days', async (scenario, strategy) => {
  const limit = limitOf(strategy, { amount: 2, period: 360 * DAY });
  await scenario.hit(limit, 2);
  scenario.at(31 * DAY);
  deepEqual(await scenario.hit(limit), strategyTraces[strategy].afterMonth);
  scenario.clock.advance(strategyTraces[strategy].afterMonth.retryAfter - 1);
  deepEqual((await scenario.look(limit)).retryAfter, 1);
  scenario.clock.advance(1);
  equal((await scenario.hit(limit)).allowed, true);
  await scenario.remove([limit]);
});

topic.addPerRate('a clock that goes back admits no more', async (scenario, strategy) => {
  const limit = limitOf(strategy);
  await scenario.hit(limit, 3);
  scenario.at(-5 * MINUTE);
  deepEqual(await scenario.look(limit), strategyTraces[strategy].afterStepBack);
  deepEqual(await scenario.hit(limit), strategyTraces[strategy].afterStepBack);
});

topic.addPerRate(
  'a clock that goes back refuses for no longer than a period after the next hit',
  async (scenario, strategy) => {
    const limit = limitOf(strategy);
    await scenario.hit(limit, 3);
    scenario.at(-HOUR);
    const { retryAfter } = await scenario.hit(limit);
    equal(retryAfter, strategyTraces[strategy].afterStepBack.retryAfter);
    scenario.clock.advance(retryAfter - 1);
    deepEqual(await scenario.look(limit), refused(0, 1, 1));
    scenario.clock.advance(1);
    equal((await scenario.hit(limit)).allowed, true);
  },
);

topic.addPerRate('a hit after the clock went back counts from the new time', async (scenario, strategy) => {
  const limit = limitOf(strategy);
  await scenario.hit(limit);
  scenario.at(-5 * MINUTE);
  equal((await scenario.hit(limit, 2)).remaining, 0);
  const { retryAfter } = strategyTraces[strategy].afterStepBack;
  deepEqual(await scenario.look(limit), refused(0, retryAfter, retryAfter));
  scenario.clock.advance(retryAfter - 1);
  deepEqual(await scenario.look(limit), refused(0, 1, 1));
  scenario.clock.advance(1);
  equal((await scenario.hit(limit)).allowed, true);
});

topic.add(
  'after the clock went back, a block lasts no longer than its duration',
  ['fixed-window'],
  async (scenario) => {
    const limit = limitOf('fixed-window', { amount: 1, block: [600 * SECOND] });
    await scenario.hit(limit);
    await scenario.hit(limit);
    scenario.at(-100 * SECOND);
    deepEqual(await scenario.look(limit), refused(0, 600 * SECOND, 600 * SECOND));
    scenario.at(600 * SECOND);
    deepEqual(await scenario.hit(limit), passes(0, 60 * SECOND));
  },
);

topic.addPerRate(
  'a block from before the clock went back ends, after the next hit, at the reported time',
  async (scenario, strategy) => {
    const limit = limitOf(strategy, { amount: 1, period: SECOND, block: [60 * SECOND] });
    await scenario.hit(limit);
    await scenario.hit(limit);
    scenario.at(-DAY);
    deepEqual(await scenario.hit(limit), refused(0, 60 * SECOND, 60 * SECOND));
    scenario.clock.advance(59 * SECOND);
    deepEqual(await scenario.hit(limit), refused(0, SECOND, SECOND));
    scenario.clock.advance(SECOND);
    equal((await scenario.hit(limit)).allowed, true);
  },
);

topic.addPerRate(
  'a block by hand from before the clock went back ends, after the next hit, at the reported time',
  async (scenario, strategy) => {
    const limit = limitOf(strategy, { block: [60 * SECOND] });
    await scenario.block(limit, 60 * SECOND); // nothing is counted
    scenario.at(-DAY);
    deepEqual(await scenario.hit(limit), refused(0, 60 * SECOND, 60 * SECOND));
    scenario.clock.advance(59 * SECOND);
    deepEqual(await scenario.hit(limit), refused(0, SECOND, SECOND));
    scenario.clock.advance(SECOND);
    equal((await scenario.hit(limit)).allowed, true);
  },
);

topic.add(
  'reads the time only from the given clock',
  ['fixed-window', 'fixed-window-elastic-expiry'],
  async (scenario) => {
    const limit = limitOf('fixed-window');
    await scenario.hit(limit, 3);
    scenario.at(365 * DAY);
    deepEqual(await scenario.hit(limit, 3), passes(0, 60 * SECOND));
    equal(await scenario.storage.getExpiry('nothing'), scenario.clock.now() / 1000);
  },
);

export const clocksCases = topic.cases;
