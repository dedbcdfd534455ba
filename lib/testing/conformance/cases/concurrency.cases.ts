import { deepEqual, equal, ok } from 'node:assert/strict';
import { receiptsOf, type Hit } from '../../../core/contract.js';
import type { Limit } from '../../../core/limit.js';
import type { Storage } from '../../../core/storage.js';
import type { StrategyName } from '../../../strategies/strategy.js';
import { CasesOf } from '../define-cases.js';
import { hitsOn, HOUR, limitOf } from '../scenario.js';

const topic = new CasesOf('concurrency');

const HITS = 100;
const LIMIT = 40;
/** Strategies with different states: a counter, a counter with a moving end, a log. */
const THREE: readonly StrategyName[] = ['fixed-window', 'fixed-window-elastic-expiry', 'moving-window'];

topic.addPerStrategy(
  'of 100 concurrent hits on a limit of 40 exactly 40 are allowed',
  async (scenario, strategy) => {
    const limit = limitOfForty(strategy);
    equal(await countAllowed(scenario.storage, hitsOn([limit])), LIMIT);
    equal(await scenario.left(limit), 0);
  },
);

topic.add(
  'of 100 concurrent batches of three limits the smallest limit decides how many are allowed',
  THREE,
  async (scenario) => {
    const limits = THREE.map((strategy, index) =>
      limitOf(strategy, { amount: LIMIT + 10 * index, period: HOUR }),
    );
    const allowed = await countAllowed(scenario.storage, hitsOn(limits));
    // If limits are decided one by one, a batch may be refused because of units that another batch
    // then refunds.
    if (scenario.storage.capabilities.atomicity === 'limit') ok(allowed <= LIMIT, `${allowed} passed`);
    else equal(allowed, LIMIT);
    deepEqual(
      await scenario.leftOf(limits),
      limits.map(({ amount }) => amount - allowed),
    );
  },
);

topic.addPerStrategy(
  'of 100 concurrent batches over two identities at most 40 are allowed, and each is counted once',
  async (scenario, strategy) => {
    const limit = limitOfForty(strategy);
    const batch = [...hitsOn([limit], 1, 'conformance/a'), ...hitsOn([limit], 1, 'conformance/b')];
    const allowed = await countAllowed(scenario.storage, batch);
    if (scenario.storage.capabilities.atomicity === 'batch') equal(allowed, LIMIT);
    else ok(allowed <= LIMIT, `${allowed} passed`);
    equal(await scenario.left(limit, 'conformance/a'), LIMIT - allowed);
    equal(await scenario.left(limit, 'conformance/b'), LIMIT - allowed);
  },
);

topic.addPerStrategy('concurrent hits and settlements lose no units', async (scenario, strategy) => {
  const limit = limitOfForty(strategy);
  const first = await Promise.all(Array.from({ length: 20 }, () => scenario.consume(hitsOn([limit]))));
  await Promise.all([
    ...first.slice(0, 10).map((result) => scenario.settle(receiptsOf(result), 0)),
    ...Array.from({ length: 10 }, () => scenario.consume(hitsOn([limit], 2))),
  ]);
  equal(await scenario.left(limit), LIMIT - 10 - 20);
});

topic.add(
  'concurrent hits on different identities do not affect each other',
  ['fixed-window'],
  async (scenario) => {
    const limit = limitOfForty('fixed-window');
    const identities = Array.from({ length: HITS }, (_, index) => `conformance/${index}`);
    const results = await Promise.all(identities.map((identity) => scenario.hit(limit, 1, identity)));
    deepEqual(new Set(results.map(({ remaining }) => remaining)), new Set([LIMIT - 1]));
  },
);

topic.add(
  'two storages of one prefix never admit more than the limit together',
  ['fixed-window'],
  async (scenario) => {
    const { storage, context } = scenario;
    const other = await context.open(storage.keyPrefix);
    const limit = limitOfForty('fixed-window');
    await storage.consume(hitsOn([limit]));
    const { outcomes } = await other.peek(hitsOn([limit]));
    if (outcomes[0]?.remaining === LIMIT) return; // the two storages share nothing, as in memory
    const [ours, theirs] = await Promise.all([
      countAllowed(storage, hitsOn([limit])),
      countAllowed(other, hitsOn([limit])),
    ]);
    equal(ours + theirs, LIMIT - 1);
  },
);

function limitOfForty(strategy: StrategyName): Limit {
  return limitOf(strategy, { amount: LIMIT, period: HOUR });
}

async function countAllowed(storage: Storage, batch: readonly Hit[]): Promise<number> {
  const results = await Promise.all(Array.from({ length: HITS }, async () => storage.consume(batch)));
  return results.filter(({ allowed }) => allowed).length;
}

export const concurrencyCases = topic.cases;
