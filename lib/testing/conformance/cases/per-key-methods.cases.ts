import { deepEqual, equal } from 'node:assert/strict';
import type { RateLimiter } from '../../../limiter/rate-limiter.js';
import {
  FixedWindowElasticExpiryRateLimiter,
  FixedWindowRateLimiter,
  MovingWindowRateLimiter,
} from '../../../limiter/rate-limiters.js';
import { RateLimitItemPerMinute } from '../../../notation/rate-limit-items.js';
import { itemLimitId } from '../../../core/per-key-methods.js';
import { strategyNames } from '../../../strategies/strategies.js';
import { CasesOf } from '../define-cases.js';
import { hitsOn, limitOf, MINUTE, SECOND } from '../scenario.js';

const topic = new CasesOf('per-key methods');
const item = new RateLimitItemPerMinute(3);
const identifiers = ['user', 'a/b'];
const key = item.keyFor(...identifiers);
const counters = ['fixed-window', 'fixed-window-elastic-expiry'] as const;

topic.add(
  'incr counts, and get and getExpiry report the counter until it expires',
  counters,
  async ({ storage, clock }) => {
    const start = clock.now();
    equal(await storage.incr('counter', 60), 1);
    clock.advance(SECOND);
    equal(await storage.incr('counter', 60), 2);
    equal(await storage.incr('counter', 60, false, 5), 7);
    equal(await storage.get('counter'), 7);
    equal(await storage.getExpiry('counter'), (start + MINUTE) / 1000);
    clock.set(start + MINUTE);
    equal(await storage.get('counter'), 0);
    equal(await storage.incr('counter', 60), 1);
  },
);

topic.add('incr with an elastic expiry restarts the period', counters, async ({ storage, clock }) => {
  const start = clock.now();
  equal(await storage.incr('counter', 60, true), 1);
  clock.advance(30 * SECOND);
  equal(await storage.incr('counter', 60, true, 2), 3);
  equal(await storage.getExpiry('counter'), (start + 90 * SECOND) / 1000);
  clock.set(start + 90 * SECOND - 1);
  equal(await storage.get('counter'), 3);
  clock.set(start + 90 * SECOND);
  equal(await storage.get('counter'), 0);
});

topic.add('a key without a count is 0 and expires now', counters, async ({ storage, clock }) => {
  equal(await storage.get('nothing'), 0);
  equal(await storage.getExpiry('nothing'), clock.now() / 1000);
});

const countingLimiters = [
  ['fixed-window', FixedWindowRateLimiter],
  ['fixed-window-elastic-expiry', FixedWindowElasticExpiryRateLimiter],
] as const;

for (const [strategy, Limiter] of countingLimiters) {
  topic.add(`${strategy}: keyFor keys and limiters share one count`, counters, async ({ storage, clock }) => {
    const limiter: RateLimiter = new Limiter(storage);
    equal(await limiter.hit(item, ...identifiers), true);
    equal(await storage.get(key), 1);
    equal(await storage.getExpiry(key), (clock.now() + MINUTE) / 1000);
    equal(await storage.incr(key, item.getExpiry(), strategy === 'fixed-window-elastic-expiry', 2), 3);
    equal(await limiter.hit(item, ...identifiers), false);
    equal(await storage.get(item.keyFor('somebody', 'else')), 0);
  });
}

topic.add('a long identifier has one count by limiter, keyFor and clear', counters, async ({ storage }) => {
  const limiter = new FixedWindowRateLimiter(storage);
  const long = 'a/b'.repeat(1000);
  const longKey = item.keyFor('user', long);
  equal(await limiter.hit(item, 'user', long), true);
  equal(await storage.incr(longKey, item.getExpiry()), 2);
  equal(await storage.get(longKey), 2);
  equal(await storage.get(item.keyFor('user', `${long}c`)), 0);
  await storage.clear(longKey);
  equal((await limiter.getWindowStats(item, 'user', long)).remaining, 3);
});

topic.add('acquireEntry adds an entry if it fits', ['moving-window'], async ({ storage, clock }) => {
  equal(await storage.acquireEntry('entries', 3, 60), true);
  equal(await storage.acquireEntry('entries', 3, 60, { cost: 3 }), false);
  equal(await storage.acquireEntry('entries', 3, 60, { cost: 2, noAdd: true }), true);
  equal(await storage.acquireEntry('entries', 3, 60, { cost: 2 }), true);
  equal(await storage.acquireEntry('entries', 3, 60), false);
  clock.advance(MINUTE);
  equal(await storage.acquireEntry('entries', 3, 60), true);
});

topic.add(
  'getMovingWindow and getNumAcquired report the entries that count',
  ['moving-window'],
  async ({ storage, clock }) => {
    const start = clock.now();
    deepEqual(await storage.getMovingWindow('entries', 3, 60), [start, 0]);
    equal(await storage.getNumAcquired('entries', 60), 0);
    await storage.acquireEntry('entries', 3, 60);
    clock.advance(SECOND);
    await storage.acquireEntry('entries', 3, 60, { cost: 2 });
    deepEqual(await storage.getMovingWindow('entries', 3, 60), [start, 3]);
    equal(await storage.getNumAcquired('entries', 60), 3);
    clock.set(start + MINUTE);
    deepEqual(await storage.getMovingWindow('entries', 3, 60), [start + SECOND, 2]);
    clock.set(start + MINUTE + SECOND);
    deepEqual(await storage.getMovingWindow('entries', 3, 60), [start + MINUTE + SECOND, 0]);
  },
);

topic.add(
  'moving-window: keyFor keys and limiters share one count',
  ['moving-window'],
  async ({ storage, clock }) => {
    const limiter = new MovingWindowRateLimiter(storage);
    equal(await limiter.hit(item, ...identifiers), true);
    deepEqual(await storage.getMovingWindow(key, 3, 60), [clock.now(), 1]);
    equal(await storage.acquireEntry(key, 3, 60, { cost: 2 }), true);
    equal(await limiter.hit(item, ...identifiers), false);
  },
);

topic.add('clear removes the counts of a key for every strategy', strategyNames, async (scenario) => {
  const { storage } = scenario;
  const limits = strategyNames.map((strategy) => limitOf(strategy, { id: itemLimitId(item.cell, strategy) }));
  const [identity, other] = [item.identityFor(identifiers), item.identityFor(['other'])];
  await scenario.consume([...hitsOn(limits, 1, identity), ...hitsOn(limits, 1, other)]);
  await storage.clear(key);
  deepEqual(
    await scenario.leftOf(limits, identity),
    limits.map(() => 3),
  );
  deepEqual(
    await scenario.leftOf(limits, other),
    limits.map(() => 2),
  );
  await storage.incr('counter', 60);
  await storage.acquireEntry('counter', 3, 60);
  await storage.clear('counter');
  equal(await storage.get('counter'), 0);
  equal(await storage.getNumAcquired('counter', 60), 0);
});

export const perKeyMethodsCases = topic.cases;
