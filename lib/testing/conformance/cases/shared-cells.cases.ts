import { deepEqual } from 'node:assert/strict';
import { CasesOf } from '../define-cases.js';
import { limitOf, MINUTE, passes, refused, SECOND } from '../scenario.js';

const topic = new CasesOf('shared cells');

topic.add(
  'token-bucket: a refund by a smaller amount leaves the cell readable once it is full for the larger',
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

export const sharedCellsCases = topic.cases;
