import { deepEqual, equal } from 'node:assert/strict';
import { receiptsOf, type Hit } from '../../../core/contract.js';
import { strategyNames } from '../../../strategies/strategies.js';
import type { StrategyName } from '../../../strategies/strategy.js';
import { CasesOf } from '../define-cases.js';
import { HOUR, hitsOn, limitOf, MINUTE, passes, refused, SECOND, seen, type Scenario } from '../scenario.js';

const topic = new CasesOf('batches');

for (const refuser of strategyNames) {
  topic.add(
    `takes nothing of any limit when one refuses, here ${refuser}`,
    strategyNames,
    async (scenario) => {
      await assertAllOrNone(scenario, refuser, () => 'conformance/one');
    },
  );
  topic.add(
    `takes nothing of any limit when one of another identity refuses, here ${refuser}`,
    strategyNames,
    async (scenario) => {
      await assertAllOrNone(
        scenario,
        refuser,
        (strategy) => `conformance/of-${strategy === refuser ? 'one' : 'other'}`,
      );
    },
  );
}

topic.add(
  'reports limits that another identity refuses as if they had not been hit',
  strategyNames,
  async (scenario) => {
    const fresh = strategyNames.map((strategy) => limitOf(strategy, { id: `fresh ${strategy}` }));
    const used = strategyNames.map((strategy) => limitOf(strategy, { id: `used ${strategy}` }));
    const never = limitOf('fixed-window', { id: 'never', amount: 0 });
    await scenario.consume(hitsOn(used, 1, 'conformance/a'));
    scenario.at(SECOND);
    const batch = [
      ...hitsOn([...fresh, ...used], 1, 'conformance/a'),
      ...hitsOn([never], 1, 'conformance/b'),
    ];
    const results = seen(await scenario.consume(batch));
    deepEqual(
      results.slice(0, fresh.length),
      fresh.map(() => passes(3, 0)),
    );
    deepEqual(results, seen(await scenario.peek(batch)));
  },
);

topic.add(
  'takes every limit of a batch, over several identities, in its order',
  strategyNames,
  async (scenario) => {
    const batch = strategyNames.flatMap((strategy, index) =>
      hitsOn([limitOf(strategy)], index % 3, `conformance/${index % 2}`),
    );
    const result = await scenario.consume(batch);
    equal(result.allowed, true);
    const left = batch.map(({ cost }) => 3 - cost);
    deepEqual(
      seen(result).map(({ remaining }) => remaining),
      left,
    );
    deepEqual(
      seen(await scenario.peek(batch)).map(({ remaining }) => remaining),
      left,
    );
    deepEqual(
      receiptsOf(result).map(({ limit }) => limit.strategy),
      strategyNames,
    );
  },
);

topic.add('decides limits of several periods together', ['fixed-window'], async (scenario) => {
  const limits = [1000, 60_000, 3_600_000].map((period, index) =>
    limitOf('fixed-window', { id: `per ${period}`, amount: index + 1, period: period * 60 }),
  );
  deepEqual(
    seen(await scenario.consume(hitsOn(limits))).map(({ remaining }) => remaining),
    [0, 1, 2],
  );
  const result = await scenario.consume(hitsOn(limits));
  deepEqual(seen(result), [refused(0, MINUTE, MINUTE), passes(1, HOUR), passes(2, 60 * HOUR)]);
});

topic.add('reports every limit that refuses', ['fixed-window', 'moving-window'], async (scenario) => {
  const limits = [
    limitOf('fixed-window', { amount: 1 }),
    limitOf('moving-window', { amount: 1, period: HOUR }),
    limitOf('fixed-window', { id: 'roomy' }),
  ];
  await scenario.consume(hitsOn(limits));
  scenario.at(SECOND);
  deepEqual(seen(await scenario.consume(hitsOn(limits))), [
    refused(0, 59_000, 59_000),
    refused(0, 3_599_000, 3_599_000),
    passes(2, 59_000),
  ]);
});

topic.add(
  'a batch that another limit refuses moves every open elastic end',
  ['fixed-window', 'fixed-window-elastic-expiry'],
  async (scenario) => {
    const elastic = limitOf('fixed-window-elastic-expiry');
    const narrow = limitOf('fixed-window', { amount: 1 });
    await scenario.consume(hitsOn([elastic, narrow]));
    scenario.at(30 * SECOND);
    const result = await scenario.consume(hitsOn([elastic, narrow]));
    deepEqual(seen(result), [passes(2, MINUTE), refused(0, 30 * SECOND, 30 * SECOND)]);
    scenario.at(90 * SECOND - 1);
    deepEqual(await scenario.look(elastic), passes(2, 1));
    scenario.at(90 * SECOND);
    deepEqual(await scenario.look(elastic), passes(3, 0));
  },
);

topic.add(
  'a refused batch neither opens an elastic window nor moves one by a cost of 0',
  ['fixed-window', 'fixed-window-elastic-expiry'],
  async (scenario) => {
    const closed = limitOf('fixed-window-elastic-expiry', { id: 'closed' });
    const open = limitOf('fixed-window-elastic-expiry', { id: 'open' });
    const never = limitOf('fixed-window', { amount: 0 });
    await scenario.hit(open);
    scenario.at(30 * SECOND);
    const batch = [...hitsOn([closed, never]), ...hitsOn([open], 0)];
    deepEqual(seen(await scenario.consume(batch)), [
      passes(3, 0),
      refused(0, 0, Infinity),
      passes(2, 30 * SECOND),
    ]);
    deepEqual(await scenario.look(open), passes(2, 30 * SECOND));
  },
);

topic.addPerStrategy('a shadow limit counts and reports, and refuses nothing', async (scenario, strategy) => {
  const shadow = limitOf(strategy, { id: 'shadow', amount: 1, period: HOUR, mode: 'shadow' });
  const enforced = limitOf(strategy, { id: 'enforced', amount: 3, period: HOUR });
  const met: unknown[] = [];
  for (let index = 0; index < 4; index++) {
    const result = await scenario.consume(hitsOn([shadow, enforced]));
    const taken = receiptsOf(result).map(({ limit }) => limit.id);
    met.push([result.allowed, seen(result).map(({ allowed, remaining }) => [allowed, remaining]), taken]);
  }
  deepEqual(met, [
    [
      true,
      [
        [true, 0],
        [true, 2],
      ],
      ['shadow', 'enforced'],
    ],
    [
      true,
      [
        [false, 0],
        [true, 1],
      ],
      ['enforced'],
    ],
    [
      true,
      [
        [false, 0],
        [true, 0],
      ],
      ['enforced'],
    ],
    [
      false,
      [
        [false, 0],
        [false, 0],
      ],
      [],
    ],
  ]);
});

topic.addPerStrategy(
  'a shadow limit takes nothing of a batch that is refused',
  async (scenario, strategy) => {
    const shadow = limitOf(strategy, { id: 'shadow', mode: 'shadow' });
    const never = limitOf(strategy, { id: 'never', amount: 0 });
    const result = await scenario.consume(hitsOn([shadow, never]));
    deepEqual(seen(result), [passes(3, 0), refused(0, 0, Infinity)]);
    deepEqual(await scenario.look(shadow), passes(3, 0));
  },
);

async function assertAllOrNone(
  scenario: Scenario,
  refuser: StrategyName,
  identityOf: (strategy: StrategyName) => string,
): Promise<void> {
  const batch: Hit[] = strategyNames.map((strategy) => ({
    identity: identityOf(strategy),
    limit: limitOf(strategy, { amount: strategy === refuser ? 1 : 2, period: HOUR }),
    cost: 1,
  }));
  const expected = (allowed: boolean): unknown[] =>
    strategyNames.map((strategy) => ({
      allowed: strategy !== refuser || allowed,
      left: strategy === refuser ? 0 : 1,
    }));
  for (const allowed of [true, false]) {
    const result = await scenario.consume(batch);
    equal(result.allowed, allowed);
    deepEqual(
      seen(result).map(({ allowed, remaining }) => ({ allowed, left: remaining })),
      expected(allowed),
    );
  }
  deepEqual(
    seen(await scenario.peek(batch)).map(({ allowed, remaining }) => ({ allowed, left: remaining })),
    expected(false),
  );
}

export const batchesCases = topic.cases;
