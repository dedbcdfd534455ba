import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  createLimit,
  Decision,
  FixedWindowRateLimiter,
  type BatchResult,
  type CreateLimitOptions,
  type Hit,
  type Limit,
  type OnError,
  type Receipt,
  StorageError,
} from 'nestjs-limits';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { receiptsOf, withdrawn } from '../../../lib/core/contract.js';
import { settleDecision } from '../../../lib/limiter/settle-decision.js';
import { CircuitBreakerStorage } from '../../../lib/resilience/circuit-breaker.storage.js';
import { DenialCacheStorage } from '../../../lib/resilience/denial-cache.storage.js';
import { FallbackStorage } from '../../../lib/resilience/fallback.storage.js';
import { LeasingStorage } from '../../../lib/resilience/leasing.storage.js';
import { OwedSettlements } from '../../../lib/resilience/owed-settlements.js';
import { until } from '../../support/servers/server-process.js';
import { ScriptedStorage } from './scripted.storage.js';

const identity = 'acme';
const tokens = limitOf();

let store: ScriptedStorage;
let guarded: CircuitBreakerStorage;
let isOpen: boolean;

beforeEach(() => {
  isOpen = false;
  store = new ScriptedStorage();
  guarded = new CircuitBreakerStorage(
    store,
    { timeout: 20, failureThreshold: 1, failureWindow: 10_000, probeInterval: 10 },
    {
      degraded: () => {
        isOpen = true;
      },
      recovered: () => {
        isOpen = false;
      },
    },
  );
});

afterEach(() => guarded.close());

function limitOf(options: Partial<CreateLimitOptions> = {}): Limit {
  return createLimit({ id: 'tokens', strategy: 'fixed-window', amount: 100, period: 3_600_000, ...options });
}

function hits(cost: number, ...limits: Limit[]): Hit[] {
  return (limits.length > 0 ? limits : [tokens]).map((limit) => ({ identity, limit, cost }));
}

/** The units that the store has counted. */
function counted(limit = tokens): number {
  const { does } = store;
  store.does = 'answer';
  const { outcomes } = store.peek([{ identity, limit, cost: 0 }]);
  store.does = does;
  return limit.burst - (outcomes[0]?.remaining ?? NaN);
}

async function lose(): Promise<void> {
  store.does = 'fail';
  await guarded.peek(hits(0)).catch(() => undefined);
  await until(() => isOpen, 'the circuit to open');
}

async function recover(): Promise<void> {
  store.does = 'answer';
  await until(() => !isOpen, 'the circuit to close');
  await nextTurn();
}

function fallback(onError: OnError = 'fallback', instances = 1): FallbackStorage {
  return new FallbackStorage(guarded, { onError, instances });
}

describe('A hit that this process counted in fallback', () => {
  it('is settled locally, to less and to more, and never in the store', async () => {
    const storage = fallback();
    await lose();
    const decision = new Decision(await storage.consume(hits(10)));
    for (const actual of [4, 60, 0, 30]) {
      const settled = await settleDecision(storage, decision, () => actual);
      expect(settled.limits).toMatchObject([{ cost: actual, remaining: 100 - actual }]);
      expect((await storage.peek(hits(1))).outcomes[0]?.remaining).toBe(100 - actual);
    }
    await recover();
    await settleDecision(storage, decision, () => 7);
    expect([store.settled, counted()]).toEqual([[], 0]);
    await lose();
    expect((await storage.peek(hits(1))).outcomes[0]?.remaining).toBe(93);
  });

  it('counts against the share of the process', async () => {
    const storage = fallback('fallback', 4);
    await lose();
    const decision = new Decision(await storage.consume(hits(5)));
    await settleDecision(storage, decision, () => 40);
    expect(await storage.consume(hits(1))).toMatchObject({ allowed: false, degraded: 'fallback' });
    await settleDecision(storage, decision, () => 24);
    expect(await storage.consume(hits(1))).toMatchObject({ allowed: true, degraded: 'fallback' });
    expect((await storage.consume(hits(1))).allowed).toBe(false);
  });

  it('is settled together with one that the store counted, each where it was counted', async () => {
    const storage = fallback();
    const [early, late] = [limitOf({ id: 'early' }), limitOf({ id: 'late' })];
    const first = new Decision(await storage.consume(hits(10, early)));
    await lose();
    const both = new Decision(await storage.consume(hits(10, late)), first);
    await recover();
    const receipts = both.receipts.map((receipt): Receipt & { actual: number } => ({
      ...receipt,
      actual: 3,
    }));
    const result = await storage.settle(receipts);
    expect(result.outcomes).toMatchObject([
      { cost: 3, remaining: 97, limit: { id: 'early' } },
      { cost: 3, remaining: 97, limit: { id: 'late' } },
    ]);
    expect([counted(early), counted(late)]).toEqual([3, 0]);
  });
});

describe('A hit that was allowed without the store', () => {
  it('settles nothing', async () => {
    const storage = fallback('allow');
    await lose();
    const decision = new Decision(await storage.consume(hits(10)));
    await recover();
    await settleDecision(storage, decision, () => 50);
    expect([decision.receipts, store.settled]).toEqual([[], []]);
  });
});

describe('While the circuit is open', () => {
  it('settlements are kept, and sent in order once it closes', async () => {
    const limiter = new FixedWindowRateLimiter(guarded);
    const decision = await limiter.consume('100/hour', [identity], { cost: 10 });
    const other = await limiter.consume('100/hour', ['other'], { cost: 10 });
    await lose();
    const settled = await limiter.settle(decision, 30);
    expect(settled).toMatchObject({ allowed: true, remaining: 70 });
    await limiter.settle(other, 1);
    await limiter.settle(decision, 5);
    expect(decision.receipts).toMatchObject([{ cost: 5 }]);
    expect(store.settled).toEqual([]);
    await recover();
    expect(store.settled.map(({ identity: whose, cost, actual }) => [whose, cost, actual])).toEqual([
      ['LIMITER/acme', 10, 30],
      ['LIMITER/other', 10, 1],
      ['LIMITER/acme', 30, 5],
    ]);
    expect(await limiter.getWindowStats('100/hour', identity)).toMatchObject({ remaining: 95 });
    await limiter.settle(decision, 6);
    expect(await limiter.getWindowStats('100/hour', identity)).toMatchObject({ remaining: 94 });
  });

  it('at most 10,000 are kept, the newest; the other hits stay as they were', async () => {
    const roomy = limitOf({ amount: 100_000 });
    const result = await guarded.consume(hits(30_000, roomy));
    const [receipt] = receiptsOf(result);
    if (receipt === undefined) throw new Error('no receipt');
    await lose();
    for (let number = 0; number < 25_000; number++)
      await guarded.settle([{ ...receipt, cost: 1, actual: 0 }]);
    await recover();
    expect([store.settled.length, counted(roomy)]).toEqual([10_000, 20_000]);
  });

  it('one that fails after the recovery does not change its hit, and the others are settled', async () => {
    const many = Array.from({ length: 250 }, (_, index) => limitOf({ id: `limit ${index}` }));
    const receipts = receiptsOf(await guarded.consume(hits(2, ...many)));
    await lose();
    await guarded.settle(withdrawn(receipts));
    let calls = 0;
    const { settle } = store;
    store.settle = (settlements) => {
      if (++calls === 2) throw new StorageError('gone again');
      return settle.call(store, settlements);
    };
    await recover();
    expect([calls, store.settled.length]).toEqual([3, 150]);
    expect([0, 99, 100, 199, 200, 249].map((index) => counted(many[index]))).toEqual([0, 0, 2, 2, 0, 0]);
  });

  it('units cannot be returned to the current window, which requires the store', async () => {
    await lose();
    const limiter = new FixedWindowRateLimiter(guarded);
    await expect(async () => limiter.refund('100/hour', identity)).rejects.toThrow(StorageError);
  });
});

describe('A late answer', () => {
  it('is refunded once the circuit closes, if it arrives while the circuit is open', async () => {
    const storage = fallback('deny');
    store.does = 'hang';
    await expect(async () => storage.consume(hits(10))).rejects.toThrow(StorageError);
    await until(() => isOpen, 'the circuit to open');
    store.does = 'fail';
    store.release();
    await nextTurn();
    expect([counted(), store.settled]).toEqual([10, []]);
    await recover();
    expect([counted(), store.settled.length]).toEqual([0, 1]);
  });

  it('of a settlement records the lower of both costs', async () => {
    const limiter = new FixedWindowRateLimiter(guarded);
    const decision = await limiter.consume('100/hour', [identity], { cost: 10 });
    const { settle } = store;
    store.settle = () => Promise.race([]) as never; // never responds
    await expect(async () => limiter.settle(decision, 30)).rejects.toThrow('has not answered within 20 ms');
    expect(decision.receipts).toMatchObject([{ cost: 10 }]);
    await expect(async () => limiter.settle(decision, 4)).rejects.toThrow();
    expect(decision.receipts).toMatchObject([{ cost: 4 }]);
    store.settle = settle;
  });
});

describe('A hit that used permits of a lease', () => {
  it('is settled in the store to less and to more, and the lease keeps its other permits', async () => {
    const leasing = new LeasingStorage(store, { size: 10, maxError: 1, instances: 1 });
    const consume = (): Decision => new Decision(leasing.consume(hits(1)) as BatchResult);
    const [first, second] = [consume(), consume()];
    expect([store.asked, counted()]).toEqual([1, 10]);
    await settleDecision(leasing, first, () => 0);
    expect(counted()).toBe(9);
    await settleDecision(leasing, second, () => 15);
    expect(counted()).toBe(23);
    await settleDecision(leasing, second, () => 2);
    expect(counted()).toBe(10);
    consume();
    expect([store.asked, counted()]).toEqual([1, 10]);
    await leasing.close();
  });

  it('of several in one window is settled by its own cost', async () => {
    const leasing = new LeasingStorage(store, { size: 10, maxError: 1, instances: 1 });
    const decisions = Array.from({ length: 30 }, () => new Decision(leasing.consume(hits(1)) as BatchResult));
    for (const decision of decisions) await settleDecision(leasing, decision, () => 2);
    expect(counted()).toBe(60);
    for (const decision of decisions) await settleDecision(leasing, decision, () => 0);
    expect(counted()).toBe(0);
  });
});

describe('A cached refusal', () => {
  it('is invalidated by a settlement of its identity, to less or more', async () => {
    const caching = new DenialCacheStorage(store);
    const decision = new Decision(await caching.consume(hits(100)));
    const refused = async (): Promise<boolean> => !(await caching.consume(hits(1))).allowed;
    expect([await refused(), await refused(), store.asked]).toEqual([true, true, 2]);
    await settleDecision(caching, decision, () => 99);
    expect([await refused(), store.asked]).toEqual([false, 3]);
    expect([await refused(), await refused(), store.asked]).toEqual([true, true, 4]);
    await settleDecision(caching, decision, () => 120);
    expect([await refused(), store.asked]).toEqual([true, 5]);
  });
});

it('A settlement that waits for the store has the time of its hit, unless it settles the current window', () => {
  const limit = createLimit({ id: 'owed', strategy: 'fixed-window', amount: 5, period: 1000 });
  const hit = { identity: 'a', limit, cost: 3, actual: 1 };
  const { outcomes } = new OwedSettlements().add(
    [
      { ...hit, window: 'current' },
      { ...hit, window: 7, at: 2000 },
    ],
    2500,
  );
  expect(outcomes).toMatchObject([
    { cost: 1, remaining: 4, window: undefined },
    { cost: 1, remaining: 4, window: 7, takenAt: 2000 },
  ]);
  expect(outcomes[0]).not.toHaveProperty('takenAt');
});
