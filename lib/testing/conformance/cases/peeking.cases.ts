import { deepEqual, equal } from 'node:assert/strict';
import { strategyNames } from '../../../strategies/strategies.js';
import { CasesOf } from '../define-cases.js';
import { hitsOn, HOUR, limitOf, passes, SECOND } from '../scenario.js';

const topic = new CasesOf('peeking');

topic.addPerRate('peeking changes nothing, whatever the cost', async (scenario, strategy) => {
  const limit = limitOf(strategy);
  for (const cost of [0, 1, 3, 4]) await scenario.look(limit, cost);
  deepEqual(await scenario.look(limit), passes(3, 0));
  const { remaining, resetAfter } = await scenario.hit(limit, 2);
  scenario.at(SECOND);
  for (const cost of [0, 1, 2, 4]) await scenario.look(limit, cost);
  deepEqual(await scenario.look(limit), passes(remaining, resetAfter - SECOND));
});

topic.addPerStrategy('peeking predicts the result of a hit', async (scenario, strategy) => {
  const limit = limitOf(strategy, { amount: 5 });
  for (const [index, cost] of [1, 2, 3, 0, 2, 1, 6].entries()) {
    scenario.at(index * SECOND);
    const foretold = await scenario.look(limit, cost);
    const { allowed, remaining } = await scenario.hit(limit, cost);
    const left = foretold.remaining - (foretold.allowed ? cost : 0);
    deepEqual({ index, allowed, remaining }, { index, allowed: foretold.allowed, remaining: left });
  }
});

topic.add('peeking predicts whether a batch is refused', strategyNames, async (scenario) => {
  const limits = strategyNames.map((strategy, index) =>
    limitOf(strategy, { amount: 1 + index, period: HOUR }),
  );
  for (const allowed of [true, false]) {
    equal((await scenario.peek(hitsOn(limits))).allowed, allowed);
    equal((await scenario.consume(hitsOn(limits))).allowed, allowed);
  }
});

topic.add(
  'peeking at several identities returns an outcome of each, in order',
  ['fixed-window'],
  async (scenario) => {
    const limit = limitOf('fixed-window');
    const identities = ['conformance/a', 'conformance/b', 'conformance/c'];
    for (const [index, identity] of identities.entries()) await scenario.hit(limit, index, identity);
    const { outcomes } = await scenario.peek(identities.flatMap((identity) => hitsOn([limit], 1, identity)));
    deepEqual(
      outcomes.map(({ identity, remaining }) => [identity, remaining]),
      [
        ['conformance/a', 3],
        ['conformance/b', 2],
        ['conformance/c', 1],
      ],
    );
  },
);

export const peekingCases = topic.cases;
