import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import type { Storage } from '../../../core/storage.js';
import { strategyNames } from '../../../strategies/strategies.js';
import { CasesOf } from '../define-cases.js';
import { hitsOn, HOUR, limitOf, removesLimits } from '../scenario.js';

const topic = new CasesOf('lifecycle');
const hourly = limitOf('fixed-window', { period: HOUR });
const blocking = limitOf('fixed-window', { id: 'blocking', period: HOUR, block: [HOUR] });

topic.add('reports its capabilities', [], async ({ storage: { capabilities } }) => {
  ok(['batch', 'identity', 'limit'].includes(capabilities.atomicity), 'atomicity is one of the three');
  ok(['local', 'server'].includes(capabilities.clock), 'clock is one of the two');
  ok(capabilities.strategies.length > 0, 'there is a strategy');
  deepEqual(
    capabilities.strategies.filter((strategy) => !strategyNames.includes(strategy)),
    [],
  );
  ok(capabilities.maxMovingWindow > 0, 'a moving window holds something');
});

topic.add('reset counts an identity once, however many limits it has', strategyNames, async ({ storage }) => {
  const supported = strategyNames.filter((strategy) => storage.capabilities.strategies.includes(strategy));
  const limits = supported.flatMap((strategy) => [
    limitOf(strategy, { period: HOUR }),
    limitOf(strategy, {
      id: `${strategy} with blocks`,
      period: HOUR,
      block: strategy === 'concurrency' ? [] : [HOUR],
    }),
  ]);
  await storage.consume(hitsOn(limits));
  await storage.block(
    hitsOn(limits.filter(({ block }) => block.length > 0)).map((hit) => ({ ...hit, duration: HOUR })),
  );
  await storage.consume(hitsOn(limits.slice(0, 1), 1, 'conformance/other'));
  equal(await storage.reset(), 2);
});

topic.add('uses the given key prefix', [], async ({ storage, context }) => {
  const other = await context.open(`${storage.keyPrefix}-other`);
  equal(other.keyPrefix, `${storage.keyPrefix}-other`);
});

topic.add(
  'counts separately from a key prefix that begins with its own',
  ['fixed-window'],
  async (scenario) => {
    const { storage, context } = scenario;
    const longer = await context.open(`${storage.keyPrefix}:a`);
    await longer.consume(hitsOn([hourly], 1, 'b'));
    equal(await scenario.left(hourly, 'a:b'), 3);
  },
);

topic.add('removes the given cells and no others', strategyNames, async (scenario) => {
  const limits = strategyNames.map((strategy) => limitOf(strategy, { period: HOUR }));
  await scenario.consume([...hitsOn(limits), ...hitsOn(limits, 1, 'conformance/other')]);
  const removed = limits.filter((_limit, index) => index % 2 === 0);
  await scenario.remove(removed);
  deepEqual(
    await scenario.leftOf(limits),
    limits.map((limit) => (removed.includes(limit) ? 3 : 2)),
  );
  await scenario.remove(limits);
  await scenario.remove(limits);
  deepEqual(
    await scenario.leftOf(limits),
    limits.map(() => 3),
  );
  deepEqual(
    await scenario.leftOf(limits, 'conformance/other'),
    limits.map(() => 2),
  );
});

topic.add('removes cells of several identities in one call', ['fixed-window'], async (scenario) => {
  const identities = ['conformance/a', 'conformance/b'];
  for (const identity of identities) await scenario.hit(hourly, 1, identity);
  await scenario.storage.remove(identities.map((identity) => ({ identity, limit: hourly })));
  for (const identity of identities) equal(await scenario.left(hourly, identity), 3);
});

topic.add(
  'reset removes everything and returns the number of identities',
  ['fixed-window'],
  async (scenario) => {
    equal(await scenario.storage.reset(), 0);
    for (const identity of ['conformance/a', 'conformance/b', 'conformance/c'])
      await scenario.hit(hourly, 1, identity);
    equal(await scenario.storage.reset(), 3);
    for (const identity of ['conformance/a', 'conformance/b', 'conformance/c'])
      equal(await scenario.left(hourly, identity), 3);
    equal(await scenario.storage.reset(), 0);
    await scenario.hit(hourly);
    equal(await scenario.left(hourly), 2);
  },
);

topic.add(
  'reset removes more records than one reply of a server lists',
  ['fixed-window'],
  async (scenario) => {
    const identities = Array.from({ length: 500 }, (_, index) => `conformance/${index}`);
    await scenario.consume(identities.flatMap((identity) => hitsOn([hourly], 1, identity)));
    equal(await scenario.storage.reset(), 500);
    const left = await scenario.peek(identities.flatMap((identity) => hitsOn([hourly], 0, identity)));
    deepEqual([...new Set(left.outcomes.map(({ remaining }) => remaining))], [3]);
  },
);

topic.add('reset lifts blocks', ['fixed-window'], async (scenario) => {
  const limit = limitOf('fixed-window', { amount: 1, block: [HOUR] });
  await scenario.hit(limit);
  await scenario.hit(limit);
  await scenario.storage.reset();
  equal((await scenario.hit(limit)).allowed, true);
});

topic.add(
  'reset keeps the records of other key prefixes, even similar ones',
  ['fixed-window'],
  async (scenario) => {
    const { storage, context } = scenario;
    const prefix = storage.keyPrefix;
    const others = [`${prefix}2`, `${prefix}-`, `${prefix}:2`, `x${prefix}`, prefix.toUpperCase()];
    const neighbours = await Promise.all(others.map((keyPrefix) => context.open(keyPrefix)));
    for (const neighbour of [storage, ...neighbours]) await neighbour.consume(hitsOn([hourly]));
    await storage.reset();
    for (const neighbour of neighbours) {
      const { outcomes } = await neighbour.peek(hitsOn([hourly], 0));
      deepEqual(
        { prefix: neighbour.keyPrefix, left: outcomes[0]?.remaining },
        { prefix: neighbour.keyPrefix, left: 2 },
      );
    }
  },
);

topic.add('reset takes its key prefix literally, not as a pattern', ['fixed-window'], async (scenario) => {
  const { storage, context } = scenario;
  const patterns = ['*', '?', '.', '.*', '[0-9a-f]', '%', '_'].map(
    (pattern) => `${storage.keyPrefix.slice(0, -1)}${pattern}`,
  );
  const wild = await Promise.all(patterns.map((keyPrefix) => context.open(keyPrefix)));
  await scenario.hit(hourly);
  for (const pattern of wild) await pattern.reset();
  equal(await scenario.left(hourly), 2);
});

topic.addPerRate(
  'removes the counts and blocks of a limit for all identities, and those of no other limit',
  async (scenario, strategy) => {
    const removed = limitOf(strategy, { amount: 1, period: HOUR, block: [2 * HOUR] });
    const kept = limitOf(strategy, { id: 'kept', period: HOUR });
    const identities = ['conformance/a', 'conformance/b/c', 'conformance/%7B'];
    for (const identity of identities) {
      await scenario.consume([...hitsOn([removed, kept], 1, identity)]);
      await scenario.hit(removed, 1, identity); // is blocked
    }
    if (!(await removesLimits(scenario.storage, [removed]))) return;
    for (const identity of identities) {
      deepEqual(await scenario.leftOf([removed, kept], identity), [1, 2]);
      equal((await scenario.hit(removed, 1, identity)).allowed, true);
    }
  },
);

topic.add(
  'removes a limit for more identities than one reply of a server lists, and under its own key prefix only',
  ['fixed-window'],
  async (scenario) => {
    const { storage, context } = scenario;
    const other = await context.open(`${storage.keyPrefix}:2`);
    const identities = Array.from({ length: 500 }, (_, index) => `conformance/${index}`);
    const hits = identities.flatMap((identity) => hitsOn([hourly], 1, identity));
    for (const each of [storage, other]) await each.consume(hits);
    if (!(await removesLimits(storage, [hourly]))) return;
    for (const [each, remaining] of [
      [storage, 3],
      [other, 2],
    ] as const) {
      const left = await each.peek(hits.map((hit) => ({ ...hit, cost: 0 })));
      deepEqual([...new Set(left.outcomes.map((outcome) => outcome.remaining))], [remaining]);
    }
  },
);

topic.add('check returns whether the storage can count, and never throws', [], async ({ storage }) => {
  equal(await storage.check(), true);
  await storage.close();
  equal(await storage.check(), false);
});

topic.add('can be closed twice', [], async ({ storage }) => {
  await storage.close();
  await storage.close();
});

const uses: Readonly<Record<string, (storage: Storage) => unknown>> = {
  consume: (storage) => storage.consume(hitsOn([hourly])),
  peek: (storage) => storage.peek(hitsOn([hourly])),
  settle: (storage) =>
    storage.settle(hitsOn([hourly]).map((hit) => ({ ...hit, window: 'current', actual: 0 }))),
  block: (storage) => storage.block(hitsOn([blocking]).map((hit) => ({ ...hit, duration: HOUR }))),
  remove: (storage) => storage.remove(hitsOn([hourly])),
  reset: (storage) => storage.reset(),
  removeLimits: (storage) => storage.removeLimits([hourly]),
};

for (const [method, use] of Object.entries(uses)) {
  topic.add(`${method} of a closed storage is a StorageError`, [], async ({ storage }) => {
    await storage.close();
    await rejects(async () => use(storage), { code: 'ERR_RATE_LIMIT_STORAGE' });
  });
}

export const lifecycleCases = topic.cases;
