import { deepEqual, equal } from 'node:assert/strict';
import { CasesOf } from '../define-cases.js';
import { HOUR, limitOf, MINUTE, passes, refused, SECOND } from '../scenario.js';

const topic = new CasesOf('shared cells');

topic.add(
  'token-bucket: a refund by a smaller amount keeps the cell readable once it is full for the larger',
  ['token-bucket'],
  async (scenario) => {
    const large = limitOf('token-bucket', { id: 'plan', amount: 7 });
    const small = limitOf('token-bucket', { id: 'plan', amount: 3 });
    await scenario.hit(large, 3, 'conformance/plan');
    scenario.at(30 * SECOND);
    await scenario.refundCurrent(small, 1, 'conformance/plan');
    scenario.at(40 * SECOND);
    deepEqual(await scenario.hit(large, 1, 'conformance/plan'), passes(6, Math.ceil(MINUTE / 7)));
  },
);

topic.add(
  'token-bucket: a refusal by a smaller amount changes nothing for the larger',
  ['token-bucket'],
  async (scenario) => {
    const large = limitOf('token-bucket', { id: 'plan', amount: 6 });
    const small = limitOf('token-bucket', { id: 'plan', amount: 3 });
    await scenario.hit(large, 5, 'conformance/plan');
    scenario.at(5 * SECOND);
    deepEqual(await scenario.hit(small, 1, 'conformance/plan'), refused(0, 55 * SECOND, 55 * SECOND));
    deepEqual(await scenario.hit(large, 1, 'conformance/plan'), passes(0, 5 * SECOND));
  },
);

topic.addPerRate(
  'the block of a lower amount does not apply to a raised one, and still applies to the lower one',
  async (scenario, strategy) => {
    const low = limitOf(strategy, { id: 'plan', amount: 1, block: [HOUR] });
    const high = limitOf(strategy, { id: 'plan', amount: 3, block: [2 * HOUR] });
    await scenario.hit(low);
    deepEqual(await scenario.hit(low), refused(0, HOUR, HOUR));
    equal((await scenario.look(high)).remaining, 2);
    equal((await scenario.hit(high)).allowed, true);
    deepEqual(await scenario.hit(low), refused(0, HOUR, HOUR));
  },
);

topic.addPerRate(
  'a raised amount that is also exhausted blocks by its own durations, and also the lower one',
  async (scenario, strategy) => {
    const low = limitOf(strategy, { id: 'plan', amount: 1, block: [HOUR] });
    const high = limitOf(strategy, { id: 'plan', amount: 2, block: [2 * HOUR] });
    await scenario.hit(low);
    await scenario.hit(low);
    await scenario.hit(high);
    deepEqual(await scenario.hit(high), refused(0, 2 * HOUR, 2 * HOUR));
    scenario.at(HOUR);
    deepEqual(await scenario.hit(high), refused(0, HOUR, HOUR));
    deepEqual(await scenario.hit(low), refused(0, HOUR, HOUR));
  },
);

topic.addPerRate('the block of a higher amount applies to a lowered one', async (scenario, strategy) => {
  const high = limitOf(strategy, { id: 'plan', amount: 2, block: [HOUR] });
  const low = limitOf(strategy, { id: 'plan', amount: 1, block: [HOUR] });
  await scenario.hit(high, 2);
  await scenario.hit(high);
  scenario.at(HOUR - 1);
  deepEqual(await scenario.hit(low), refused(0, 1, 1));
});

topic.addPerRate('a block by hand applies to every amount', async (scenario, strategy) => {
  const low = limitOf(strategy, { id: 'plan', amount: 1, block: [HOUR] });
  const high = limitOf(strategy, { id: 'plan', amount: 3, block: [2 * HOUR] });
  await scenario.block(low, MINUTE);
  deepEqual(await scenario.hit(high), refused(0, MINUTE, MINUTE));
});

export const sharedCellsCases = topic.cases;
