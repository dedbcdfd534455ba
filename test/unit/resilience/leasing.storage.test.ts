import { beforeEach, describe, expect, it } from '@jest/globals';
import {
  createLimit,
  Decision,
  type Storage,
  StorageError,
  type BatchResult,
  type CreateLimitOptions,
  type Hit,
  type Limit,
} from 'nestjs-limits';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { withdrawn } from '../../../lib/core/contract.js';
import { FallbackStorage } from '../../../lib/resilience/fallback.storage.js';
import { CircuitBreakerStorage } from '../../../lib/resilience/circuit-breaker.storage.js';
import { LeasingStorage, type LeasingStorageOptions } from '../../../lib/resilience/leasing.storage.js';
import { ManualClock } from '../../../lib/testing/manual-clock.js';
import { ScriptedStorage } from './scripted.storage.js';

const MINUTE = 60_000;

let clock: ManualClock;
let inner: ScriptedStorage;

beforeEach(() => {
  clock = new ManualClock();
  inner = new ScriptedStorage({ clock });
});

function leasing(options: Partial<LeasingStorageOptions> = {}): LeasingStorage {
  return new LeasingStorage(inner, { size: 10, maxError: 1, instances: 1, ...options }, () => clock.now());
}

function limitOf(options: Partial<CreateLimitOptions> = {}): Limit {
  return createLimit({ id: 'leased', strategy: 'fixed-window', amount: 1000, period: MINUTE, ...options });
}

const identity = 'somebody';

function hit(storage: LeasingStorage, limit: Limit, cost = 1): BatchResult {
  return storage.consume([{ identity, limit, cost }]) as BatchResult;
}

/** A hit on a store that takes time. */
function asked(storage: Storage, limit: Limit): Promise<BatchResult> {
  return storage.consume([{ identity, limit, cost: 1 }]) as Promise<BatchResult>;
}

/** The units that the store has counted. */
function counted(limit: Limit): number {
  return limit.burst - (inner.peek([{ identity, limit, cost: 0 }]).outcomes[0]?.remaining ?? NaN);
}

describe('A lease', () => {
  it('serves its hits with one call of the store', () => {
    const storage = leasing();
    const limit = limitOf();
    for (let time = 0; time < 100; time++) hit(storage, limit);
    expect(inner.asked).toBe(10);
    expect(counted(limit)).toBe(100);
  });

  it('reports to each hit the remaining units and the reset', () => {
    const storage = leasing({ size: 3 });
    const limit = limitOf({ amount: 100 });
    const first = hit(storage, limit);
    clock.advance(1000);
    const second = hit(storage, limit);
    expect(first).toMatchObject({ allowed: true, outcomes: [{ allowed: true, remaining: 99, cost: 1 }] });
    expect(second.outcomes[0]).toEqual({ ...first.outcomes[0], remaining: 98 });
    expect(second.now - first.now).toBe(1000);
  });

  it('ends with its window: unused permits are lost, and none are taken from the next window', () => {
    const storage = leasing();
    const limit = limitOf();
    hit(storage, limit);
    clock.advance(MINUTE - 1);
    hit(storage, limit);
    expect(inner.asked).toBe(1);
    clock.advance(1);
    expect(hit(storage, limit).outcomes[0]).toMatchObject({ remaining: 999 });
    expect(inner.asked).toBe(2);
    expect(counted(limit)).toBe(10);
  });

  it('takes fewer permits as the limit is used up, and the last units one by one', () => {
    const storage = leasing({ size: 50 });
    const limit = limitOf({ amount: 100 });
    let allowed = 0;
    while (hit(storage, limit).allowed) allowed++;
    expect(allowed).toBe(100);
    expect(inner.asked).toBe(8); // 50, 25, 13, 6, 3, 2, 1, and the refusal
  });

  it('is at most the share of the limit that may be in error, over all instances', () => {
    const limit = limitOf({ amount: 100 });
    hit(leasing({ size: 50, maxError: 0.05 }), limit);
    expect(counted(limit)).toBe(6);
    inner.reset();
    hit(leasing({ size: 50, maxError: 0.05, instances: 5 }), limit);
    expect(counted(limit)).toBe(2);
  });

  it('of hits of one cost is a multiple of it', () => {
    const storage = leasing();
    const limit = limitOf();
    for (let time = 0; time < 6; time++) hit(storage, limit, 3);
    expect(inner.asked).toBe(2);
    expect(counted(limit)).toBe(18);
  });

  it('with too few permits for a hit is refunded first, so that the hit is not refused', async () => {
    const storage = leasing();
    const limit = limitOf({ amount: 20 });
    hit(storage, limit, 1);
    expect(counted(limit)).toBe(10);
    expect(await storage.consume([{ identity, limit, cost: 15 }])).toMatchObject({ allowed: true });
    expect(inner.asked).toBe(2);
    expect(counted(limit)).toBe(16);
  });

  it('is not taken for a small limit', () => {
    const storage = leasing({ maxError: 0.05 });
    const limit = limitOf({ amount: 19 });
    for (let time = 0; time < 5; time++) hit(storage, limit);
    expect(inner.asked).toBe(5);
  });

  it.each<[string, Partial<CreateLimitOptions>]>([
    ['a moving window', { strategy: 'moving-window' }],
    ['a sliding window', { strategy: 'sliding-window-counter' }],
    ['an elastic window', { strategy: 'fixed-window-elastic-expiry' }],
    ['a shadow', { mode: 'shadow' }],
    ['a limit that blocks', { block: [MINUTE] }],
    ['a limit that counts by outcome', { refundable: true }],
  ])('is not taken for %s', (_which, options) => {
    const storage = leasing();
    const limit = limitOf(options);
    for (let time = 0; time < 5; time++) hit(storage, limit);
    expect(inner.asked).toBe(5);
  });

  it('is not taken for hits on several limits', () => {
    const storage = leasing();
    const batch: Hit[] = [limitOf(), limitOf({ id: 'other' })].map((limit) => ({ identity, limit, cost: 1 }));
    for (let time = 0; time < 5; time++) void storage.consume(batch);
    expect(inner.asked).toBe(5);
  });

  it('of one identity, limit or amount serves no other', () => {
    const storage = leasing();
    hit(storage, limitOf());
    hit(storage, limitOf({ amount: 500 }));
    hit(storage, limitOf({ id: 'other' }));
    void storage.consume([{ identity: 'somebody else', limit: limitOf(), cost: 1 }]);
    expect(inner.asked).toBe(4);
    hit(storage, limitOf());
    hit(storage, limitOf({ amount: 500 }));
    hit(storage, limitOf({ id: 'other' }));
    expect(inner.asked).toBe(4);
  });
});

describe('A lease of automatic size', () => {
  it('is not taken for an identity that rarely hits', () => {
    const storage = leasing({ size: 'auto' });
    const limit = limitOf();
    for (let time = 0; time < 20; time++) {
      hit(storage, limit);
      clock.advance(100);
    }
    expect(inner.asked).toBe(20);
  });

  it('grows to the demand of 100 ms, and shrinks again', () => {
    const storage = leasing({ size: 'auto' });
    const limit = limitOf({ amount: 100_000 });
    for (let time = 0; time < 2000; time++) {
      hit(storage, limit);
      clock.advance(1);
    }
    const before = inner.asked;
    for (let time = 0; time < 1000; time++) {
      hit(storage, limit);
      clock.advance(1);
    }
    expect(inner.asked - before).toBe(10);
    const units = counted(limit);
    clock.advance(10_000);
    while (counted(limit) === units) hit(storage, limit); // a hundred permits have lasted ten seconds
    expect(counted(limit) - units).toBe(1);
  });

  it('is one permit after a refusal at the same instant', async () => {
    const limit = limitOf({ amount: 10 });
    inner.consume([{ identity, limit, cost: 10 }]);
    const taken: number[] = [];
    const { consume } = inner;
    inner.consume = (batch) => {
      taken.push(...batch.map(({ cost }) => cost));
      return Promise.resolve(consume.call(inner, batch)) as never;
    };
    const storage = leasing({ size: 'auto' });
    for (let time = 0; time < 2; time++) expect((await asked(storage, limit)).allowed).toBe(false);
    expect(taken).toEqual([1, 1]);
  });
});

describe('Permits', () => {
  it('are counted as available in this process, and as taken in the store', () => {
    const storage = leasing();
    const limit = limitOf({ amount: 20 });
    hit(storage, limit);
    const batch: Hit[] = [{ identity, limit, cost: 12 }];
    expect(inner.peek(batch)).toMatchObject({ allowed: false, outcomes: [{ remaining: 10 }] });
    expect(storage.peek(batch)).toMatchObject({ allowed: false, outcomes: [{ remaining: 19 }] });
    expect(storage.peek([{ identity, limit, cost: 9 }])).toMatchObject({
      allowed: true,
      outcomes: [{ allowed: true, remaining: 19, retryAfter: 0 }],
    });
  });

  it('are not available to hits on several limits, to other identities, or before they have arrived', async () => {
    const storage = leasing();
    const [limit, other] = [limitOf({ amount: 20 }), limitOf({ id: 'other' })];
    const left = async (...batch: Hit[]): Promise<number | undefined> =>
      (await storage.peek(batch)).outcomes[0]?.remaining;
    const cell = { identity, limit, cost: 1 };
    inner.does = 'hang';
    const asking = asked(storage, limit);
    inner.does = 'answer';
    expect(await left(cell)).toBe(20);
    inner.release();
    await asking;
    expect(await left(cell)).toBe(19);
    expect(await left(cell, { ...cell, limit: other })).toBe(10);
    expect(await left({ ...cell, identity: 'somebody else' })).toBe(20);
    await storage.remove([{ identity: 'somebody else', limit }]);
    expect(await left(cell)).toBe(19);
  });

  it('of a larger cost than is held report the wait', () => {
    const storage = leasing();
    const limit = limitOf({ amount: 20 });
    hit(storage, limit);
    expect(storage.peek([{ identity, limit, cost: 20 }])).toMatchObject({
      allowed: false,
      outcomes: [{ allowed: false, remaining: 19, retryAfter: MINUTE }],
    });
  });

  it('that have not arrived do not delay close, and are refunded once they arrive', async () => {
    const storage = leasing();
    const limit = limitOf();
    inner.does = 'hang';
    const asking = asked(storage, limit);
    inner.close = () => undefined;
    await storage.close();
    inner.does = 'answer';
    inner.release();
    expect((await asking).allowed).toBe(true);
    await nextTurn();
    expect(counted(limit)).toBe(1);
  });

  it('are refunded when the application shuts down', async () => {
    const storage = leasing();
    const limit = limitOf();
    const bucketOfTokens = limitOf({ id: 'tokens', strategy: 'token-bucket' });
    for (let time = 0; time < 12; time++) hit(storage, limit);
    hit(storage, bucketOfTokens);
    expect([counted(limit), counted(bucketOfTokens)]).toEqual([20, 10]);
    let left: number[] = [];
    inner.close = () => {
      left = [counted(limit), counted(bucketOfTokens)];
    };
    await storage.close();
    expect(left).toEqual([12, 1]);
  });

  it.each<[string, (storage: LeasingStorage, limit: Limit) => unknown]>([
    ['forgotten', (storage, limit) => storage.remove([{ identity, limit }])],
    ['reset', (storage) => storage.reset()],
  ])('are dropped once the identity is %s', (_how, act) => {
    const storage = leasing();
    const limit = limitOf();
    hit(storage, limit);
    act(storage, limit);
    hit(storage, limit);
    expect(inner.asked).toBe(2);
  });

  it('can be refunded by the hit that used them, if they still count', () => {
    const storage = leasing();
    const limit = limitOf();
    hit(storage, limit);
    const { receipts } = new Decision(hit(storage, limit));
    expect(receipts).toMatchObject([{ identity, cost: 1 }]);
    void storage.settle(withdrawn(receipts));
    expect(counted(limit)).toBe(9);
  });

  it('of a bucket serve hits however much later, so that a bucket in use loses none', () => {
    const storage = leasing();
    const limit = limitOf({ strategy: 'token-bucket', amount: 60, burst: 1000 });
    inner.consume([{ identity, limit, cost: 900 }]);
    hit(storage, limit);
    clock.advance(MINUTE);
    for (let later = 0; later < 9; later++) hit(storage, limit);
    expect(counted(limit)).toBe(900 - 60 + 10);
    expect(inner.asked).toBe(2);
  });

  it('of one limit are kept when another is removed', () => {
    const storage = leasing();
    const [limit, other] = [limitOf(), limitOf({ id: 'other' })];
    hit(storage, limit);
    void storage.remove([{ identity, limit: other }]);
    hit(storage, limit);
    expect(inner.asked).toBe(1);
  });

  it('of a bucket that has been refilled are not refunded', () => {
    const storage = leasing();
    const limit = limitOf({ strategy: 'token-bucket' }); // 60 ms per token
    expect(new Decision(hit(storage, limit)).receipts).toHaveLength(1);
    clock.advance(600);
    const late = new Decision(hit(storage, limit));
    expect(late.allowed).toBe(true);
    hit(inner as unknown as LeasingStorage, limit, 5);
    void storage.settle(withdrawn(late.receipts));
    expect(counted(limit)).toBe(5);
  });

  it('are kept for at most 10,000 identities; those of the oldest are refunded', async () => {
    const storage = leasing();
    const limit = limitOf();
    hit(storage, limit);
    for (let number = 0; number < 10_000; number++)
      void storage.consume([{ identity: `number ${number}`, limit, cost: 1 }]);
    await nextTurn();
    expect(counted(limit)).toBe(1);
  });
});

describe('While a lease is pending', () => {
  it('as many hits as it has permits wait for it, and no more', async () => {
    const storage = leasing();
    const limit = limitOf();
    inner.does = 'hang';
    const hits = Array.from({ length: 25 }, () => asked(storage, limit));
    expect(inner.asked).toBe(3);
    inner.does = 'answer';
    inner.release();
    const results = await Promise.all(hits);
    expect(results.every(({ allowed }) => allowed)).toBe(true);
    expect(counted(limit)).toBe(30);
  });

  it('and is refused, each hit calls the store itself', async () => {
    const limit = limitOf({ amount: 12 });
    for (let time = 0; time < 8; time++) inner.consume([{ identity, limit, cost: 1 }]);
    const before = inner.asked;
    inner.does = 'hang';
    const storage = leasing();
    const hits = Array.from({ length: 6 }, () => asked(storage, limit));
    inner.does = 'answer';
    inner.release();
    const results = await Promise.all(hits);
    expect(results.map(({ allowed }) => allowed)).toEqual([true, true, true, true, false, false]);
    expect(inner.asked - before).toBe(1 + 6);
  });

  it('and the store fails, all waiting hits reject', async () => {
    const guarded = new CircuitBreakerStorage(
      inner,
      { timeout: 20, failureThreshold: 100, failureWindow: 10_000, probeInterval: 1000 },
      { failed: () => undefined, degraded: () => undefined, recovered: () => undefined },
    );
    const remote = new LeasingStorage(guarded, { size: 10, maxError: 1, instances: 1 });
    inner.does = 'fail';
    const limit = limitOf();
    const hits = [1, 2, 3].map(() => asked(remote, limit));
    const failures = await Promise.all(hits.map((one) => one.catch((error: unknown) => error)));
    expect(failures.every((failure) => failure instanceof StorageError)).toBe(true);
    expect(inner.asked).toBe(1);
    inner.does = 'answer';
    expect(await asked(remote, limit)).toMatchObject({ allowed: true });
  });

  it('and the store fails after the timeout, hits that were already rejected get no second error', async () => {
    let fail: () => void = () => undefined;
    inner.consume = () =>
      new Promise((_resolve, reject) => {
        fail = () => reject(new StorageError('no power'));
      }) as never;
    const guarded = new CircuitBreakerStorage(
      inner,
      { timeout: 5, failureThreshold: 100, failureWindow: 10_000, probeInterval: 1000 },
      { failed: () => undefined, degraded: () => undefined, recovered: () => undefined },
    );
    const remote = new LeasingStorage(guarded, { size: 10, maxError: 1, instances: 1 });
    await expect(asked(remote, limitOf())).rejects.toThrow('ScriptedStorage has not answered within 5 ms.');
    fail();
    await nextTurn(); // an unhandled rejection would end the process
  });

  it.each([
    ['let through', 'fallback', 3],
    ['refused', 'deny', 0],
  ] as const)(
    'and the answer is late, it counts for hits that were %s, and the rest is refunded',
    async (_how, onError, kept) => {
      const guarded = new CircuitBreakerStorage(
        inner,
        { timeout: 20, failureThreshold: 100, failureWindow: 10_000, probeInterval: 1000 },
        { failed: () => undefined, degraded: () => undefined, recovered: () => undefined },
      );
      const remote = new LeasingStorage(guarded, { size: 10, maxError: 1, instances: 1 });
      const degrading = new FallbackStorage(remote, { onError, instances: 1 });
      const limit = limitOf();
      inner.does = 'hang';
      const hits = [1, 2, 3].map(() => asked(degrading, limit));
      await Promise.allSettled(hits);
      inner.does = 'answer';
      inner.release();
      await nextTurn();
      expect(counted(limit)).toBe(kept);
    },
  );
});

describe('While permits are held', () => {
  const rest = (storage: LeasingStorage, limit: Limit): number => {
    let allowed = 0;
    while (hit(storage, limit).allowed) allowed++;
    return allowed;
  };
  const each = [
    ['fixed-window', limitOf({ amount: 100 })],
    ['token-bucket', limitOf({ amount: 100, strategy: 'token-bucket' })],
  ] as const;

  it.each(each)('clear gives the identity the whole limit again, and no unit more: %s', (_name, limit) => {
    const storage = leasing();
    hit(storage, limit);
    void storage.remove([{ identity, limit }]);
    expect(rest(storage, limit)).toBe(100);
  });

  it.each(each)(
    'clear keeps permits that have not arrived from being used afterwards: %s',
    async (_name, limit) => {
      const storage = leasing();
      inner.does = 'hang';
      const waiting = asked(storage, limit);
      void storage.remove([{ identity, limit }]);
      inner.does = 'answer';
      inner.release();
      expect(await waiting).toMatchObject({ allowed: true });
      await nextTurn();
      expect(rest(storage, limit)).toBeLessThanOrEqual(100);
    },
  );

  it.each(each)('a refund by hand returns no units that no caller has used: %s', async (_name, limit) => {
    const storage = leasing();
    hit(storage, limit);
    await storage.settle([{ identity, limit, cost: 50, window: 'current', actual: 0 }]);
    expect(counted(limit)).toBe(0);
    expect(rest(storage, limit)).toBe(100);
  });

  it.each(each)('a refund of a hit returns its units: %s', async (_name, limit) => {
    const storage = leasing();
    hit(storage, limit);
    const { receipts } = new Decision(hit(storage, limit));
    await storage.settle(withdrawn(receipts));
    expect(counted(limit)).toBe(9); // one used, eight held
    expect(rest(storage, limit)).toBe(99);
  });

  it.each(each)('a hit that cost more than the limit leaves no permits: %s', async (_name, limit) => {
    const storage = leasing();
    const [receipt] = new Decision(hit(storage, limit)).receipts;
    if (receipt === undefined) throw new Error('nothing was taken');
    await storage.settle([{ ...receipt, actual: 150 }]);
    expect(hit(storage, limit).allowed).toBe(false);
    expect(rest(storage, limit)).toBe(0);
  });

  it.each(each)('a settlement to the same cost changes nothing: %s', async (_name, limit) => {
    const storage = leasing();
    const [receipt] = new Decision(hit(storage, limit)).receipts;
    if (receipt === undefined) throw new Error('nothing was taken');
    await storage.settle([{ ...receipt, actual: 1 }]);
    expect(rest(storage, limit)).toBe(99);
  });

  it('a settlement of another identity or limit leaves them', async () => {
    const storage = leasing();
    const limit = limitOf();
    hit(storage, limit);
    await storage.settle([
      { identity: 'other', limit, cost: 1, window: 'current', actual: 0 },
      { identity, limit: limitOf({ id: 'other' }), cost: 1, window: 'current', actual: 0 },
    ]);
    expect(counted(limit)).toBe(10);
  });

  it('a settlement does not wait for permits that have not arrived, and they are refunded', async () => {
    const storage = leasing();
    const limit = limitOf();
    inner.does = 'hang';
    const waiting = asked(storage, limit);
    inner.does = 'answer';
    await storage.settle([{ identity, limit, cost: 1, window: 'current', actual: 0 }]);
    inner.release();
    expect(await waiting).toMatchObject({ allowed: true });
    await nextTurn();
    expect(counted(limit)).toBe(1);
  });

  it('a smaller limit refuses what it no longer admits, and the permits of the larger one serve it no hit', () => {
    const storage = leasing();
    hit(storage, limitOf({ amount: 100 }));
    expect(rest(storage, limitOf({ amount: 10 }))).toBe(0);
    expect(rest(storage, limitOf({ amount: 20 }))).toBe(10);
    expect(counted(limitOf({ amount: 100 }))).toBe(20);
  });

  it('a larger limit admits its difference', () => {
    const storage = leasing();
    expect(rest(storage, limitOf({ amount: 100 }))).toBe(100);
    expect(rest(storage, limitOf({ amount: 150 }))).toBe(50);
  });

  it('a limit that comes back uses the permits that it still holds', () => {
    const storage = leasing();
    hit(storage, limitOf({ amount: 100 }));
    hit(storage, limitOf({ amount: 200 }));
    const before = inner.asked;
    hit(storage, limitOf({ amount: 100 }));
    expect(inner.asked).toBe(before);
  });

  it('the same limit with a block, by outcome or in shadow mode is decided by the store', () => {
    const storage = leasing();
    hit(storage, limitOf({ amount: 100 }));
    const before = inner.asked;
    for (const options of [{ block: [MINUTE] }, { refundable: true }, { mode: 'shadow' as const }])
      expect(hit(storage, limitOf({ amount: 100, ...options }))).toMatchObject({ allowed: true });
    expect(inner.asked - before).toBe(3);
    expect(counted(limitOf({ amount: 100 }))).toBe(13);
  });

  it('a block that is set on the limit refuses although permits are held', () => {
    const storage = leasing();
    const blocking = limitOf({ amount: 100, block: [MINUTE] });
    hit(storage, limitOf({ amount: 100 }));
    void storage.block([{ identity, limit: blocking, duration: MINUTE }]);
    expect(hit(storage, blocking).allowed).toBe(false);
    void storage.block([{ identity, limit: blocking, duration: 0 }]);
    expect(hit(storage, blocking).allowed).toBe(true);
  });
});
