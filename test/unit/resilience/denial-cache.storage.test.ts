import { beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { createLimit, type BatchResult, type CreateLimitOptions, type Hit, type Limit } from 'nestjs-limits';
import { DenialCacheStorage } from '../../../lib/resilience/denial-cache.storage.js';
import { ManualClock } from '../../../lib/testing/manual-clock.js';
import { ScriptedStorage } from './scripted.storage.js';

const MINUTE = 60_000;

let clock: ManualClock;
let inner: ScriptedStorage;
let storage: DenialCacheStorage;

beforeEach(() => {
  clock = new ManualClock();
  inner = new ScriptedStorage({ clock });
  storage = new DenialCacheStorage(inner, () => clock.now());
});

function limitOf(options: Partial<CreateLimitOptions> = {}): Limit {
  return createLimit({ id: 'cached', strategy: 'fixed-window', amount: 1, period: MINUTE, ...options });
}

function hit(limit: Limit, cost = 1, identity = 'somebody'): BatchResult {
  return storage.consume([{ identity, limit, cost }]) as BatchResult;
}

describe('A refusal', () => {
  it('is cached: for two seconds the store is not called again', () => {
    const limit = limitOf();
    expect([hit(limit).allowed, hit(limit).allowed]).toEqual([true, false]);
    expect(inner.asked).toBe(2);
    for (let time = 0; time < 100; time++) {
      clock.advance(19);
      expect(hit(limit).allowed).toBe(false);
    }
    expect(inner.asked).toBe(2);
    clock.advance(100);
    expect(hit(limit).allowed).toBe(false);
    expect(inner.asked).toBe(3);
  });

  it('is what a peek at the same hit returns, too', () => {
    const limit = limitOf();
    const peek = (cost: number): BatchResult =>
      storage.peek([{ identity: 'somebody', limit, cost }]) as BatchResult;
    hit(limit);
    hit(limit);
    inner.remove([{ identity: 'somebody', limit }]); // by another process
    clock.advance(500);
    expect(peek(1)).toMatchObject({ allowed: false, outcomes: [{ retryAfter: MINUTE - 500 }] });
    expect(peek(0).outcomes[0]?.remaining).toBe(1);
    clock.advance(1500);
    expect(peek(1).allowed).toBe(true);
  });

  it('that a peek finds is cached, too, unless a hit would start a block', () => {
    const [plain, blocking] = [limitOf(), limitOf({ id: 'blocking', block: [MINUTE] })];
    for (const limit of [plain, blocking]) {
      hit(limit);
      expect((storage.peek([{ identity: 'somebody', limit, cost: 1 }]) as BatchResult).allowed).toBe(false);
      inner.asked = 0;
      expect(hit(limit).outcomes[0]?.blocked).toBe(limit === blocking ? true : undefined);
      expect(inner.asked).toBe(limit === blocking ? 1 : 0);
    }
  });

  it('of hits of several identities is invalidated with any of them', () => {
    const [open, full] = [limitOf({ id: 'open', amount: 100 }), limitOf({ id: 'full' })];
    const batch: Hit[] = [
      { identity: 'address', limit: open, cost: 1 },
      { identity: 'user', limit: full, cost: 1 },
    ];
    const consume = (): boolean => (storage.consume(batch) as BatchResult).allowed;
    expect([consume(), consume(), consume()]).toEqual([true, false, false]);
    expect(inner.asked).toBe(2);
    void storage.remove([{ identity: 'user', limit: full }]);
    expect(consume()).toBe(true);
  });

  it('is cached, whatever others use of a shared limit', () => {
    const [shared, own] = [limitOf({ id: 'shared', amount: 1000 }), limitOf({ id: 'own' })];
    const consume = (identity: string): boolean =>
      (
        storage.consume([
          { identity, limit: own, cost: 1 },
          { identity: 'all', limit: shared, cost: 1 },
        ]) as BatchResult
      ).allowed;
    expect([consume('a'), consume('a')]).toEqual([true, false]);
    for (let other = 0; other < 50; other++) {
      expect(consume(`other ${other}`)).toBe(true);
      expect(consume('a')).toBe(false);
    }
    expect(inner.asked).toBe(52);
  });

  it('of each of many identities with a shared used-up limit is cached separately, until the limit is removed', () => {
    const [shared, own] = [limitOf({ id: 'shared' }), limitOf({ id: 'own', amount: 10 })];
    const consume = (identity: string): unknown =>
      storage.consume([
        { identity: 'all', limit: shared, cost: 1 },
        { identity, limit: own, cost: 1 },
      ]);
    consume('first');
    const { asked } = inner;
    for (let other = 0; other < 4000; other++) consume(`other ${other}`);
    consume('other 3999');
    expect(inner.asked).toBe(asked + 4000);
    void storage.remove([{ identity: 'all', limit: shared }]);
    expect(consume('other 5')).toMatchObject({ allowed: true });
  });

  it('is not cached if the identity was invalidated during the call', async () => {
    const limit = limitOf();
    hit(limit);
    inner.does = 'hang';
    const refused = storage.consume([{ identity: 'somebody', limit, cost: 1 }]);
    inner.does = 'answer';
    inner.release(); // refused, but the answer has not arrived
    void storage.remove([{ identity: 'somebody', limit }]);
    expect((await refused).allowed).toBe(false);
    expect(hit(limit).allowed).toBe(true);
  });

  it('is not cached while a limit counts refusals for a block, and is once that has begun', () => {
    const limit = limitOf({ block: [3_600_000], blockAfter: 3 });
    hit(limit);
    for (let refusals = 0; refusals < 3; refusals++) expect(hit(limit).allowed).toBe(false);
    expect(inner.asked).toBe(4);
    for (let refusals = 0; refusals < 3; refusals++) expect(hit(limit).allowed).toBe(false);
    expect(inner.asked).toBe(4);
    clock.advance(2000);
    expect(hit(limit).outcomes[0]).toMatchObject({ blocked: true, retryAfter: 3_600_000 - 2000 });
    expect(inner.asked).toBe(5);
  });

  it('is cached for as long as a limit refuses that counts no refusals', () => {
    const patient = limitOf({ id: 'patient', block: [3_600_000], blockAfter: 3 });
    const plain = limitOf({ id: 'plain', period: 500 });
    const consume = (): BatchResult =>
      storage.consume([patient, plain].map((limit) => ({ identity: 'a', limit, cost: 1 }))) as BatchResult;
    expect([consume(), consume(), consume()].map(({ allowed }) => allowed)).toEqual([true, false, false]);
    expect(inner.asked).toBe(2);
    clock.advance(500);
    consume();
    expect(inner.asked).toBe(3);
  });

  it('of a limit is not used for the same one with other blocks', () => {
    hit(limitOf());
    expect(hit(limitOf()).outcomes[0]?.blocked).toBeUndefined();
    expect(hit(limitOf({ block: [3_600_000] })).outcomes[0]?.blocked).toBe(true);
  });

  it('has the remaining wait at each time', () => {
    const limit = limitOf();
    hit(limit);
    const first = hit(limit);
    clock.advance(1500);
    const again = hit(limit);
    expect(again.now - first.now).toBe(1500);
    expect(again.outcomes[0]).toEqual({
      ...first.outcomes[0],
      retryAfter: MINUTE - 1500,
    });
  });

  it('is not cached for longer than its wait', () => {
    const limit = limitOf({ period: 500 });
    hit(limit);
    hit(limit);
    clock.advance(499);
    expect(hit(limit).outcomes[0]).toMatchObject({ allowed: false, retryAfter: 1 });
    clock.advance(1);
    expect(hit(limit).allowed).toBe(true);
  });

  it('of one identity, limit, amount or cost is not used for another', () => {
    const limit = limitOf({ amount: 2 });
    hit(limit, 2);
    expect(hit(limit).allowed).toBe(false);
    expect(hit(limit, 1, 'somebody else').allowed).toBe(true);
    expect(hit(limitOf({ id: 'other' })).allowed).toBe(true);
    expect(hit(limitOf({ amount: 5 })).allowed).toBe(true);
    expect(hit(limit, 0).allowed).toBe(true);
  });

  it.each<[string, Partial<CreateLimitOptions>]>([
    ['a window that every hit prolongs', { strategy: 'fixed-window-elastic-expiry' }],
    ['a limit whose hits may be given back', { refundable: true }],
  ])('by %s is not cached', (_which, options) => {
    const limit = limitOf(options);
    for (let time = 0; time < 5; time++) hit(limit);
    expect(inner.asked).toBe(5);
  });

  it('by a shadow limit is not cached', () => {
    const limit = limitOf({ mode: 'shadow' });
    for (let time = 0; time < 5; time++) expect(hit(limit).allowed).toBe(true);
    expect(inner.asked).toBe(5);
  });

  it.each<[string, (limit: Limit) => unknown]>([
    ['is removed', (limit) => storage.remove([{ identity: 'somebody', limit }])],
    [
      'is settled',
      (limit) => storage.settle([{ identity: 'somebody', limit, cost: 1, window: 'current', actual: 0 }]),
    ],
    ['is unblocked', (limit) => storage.block([{ identity: 'somebody', limit, duration: 0 }])],
  ])('is invalidated when its identity %s', (_what, act) => {
    const limit = limitOf({ block: [MINUTE] });
    hit(limit);
    hit(limit);
    act(limit);
    hit(limit);
    expect(inner.asked).toBe(3);
  });

  it('is invalidated by a reset', () => {
    const limit = limitOf();
    hit(limit);
    hit(limit);
    void storage.reset();
    expect(hit(limit).allowed).toBe(true);
  });

  it('is not cached for an empty batch', () => {
    for (let time = 0; time < 2; time++) expect(storage.consume([])).toMatchObject({ allowed: true });
    expect(inner.asked).toBe(2);
  });

  it('has the limit of the hit, if another limit that decides the same was refused', () => {
    const [limit, alike] = [limitOf({ name: 'one' }), limitOf({ name: 'other' })];
    hit(limit);
    expect(hit(limit).outcomes[0]?.limit).toBe(limit);
    expect(hit(alike).outcomes[0]?.limit).toBe(alike);
    expect(inner.asked).toBe(2);
  });

  it('of a store that fails is not cached', () => {
    inner.does = 'fail';
    expect(() => hit(limitOf())).toThrow();
    inner.does = 'answer';
    expect(hit(limitOf()).allowed).toBe(true);
  });

  it('is cached for at most ten thousand identities, and the oldest is dropped first', () => {
    const limit = limitOf({ amount: 0 });
    for (let index = 0; index <= 10_000; index++) hit(limit, 1, `somebody ${index}`);
    expect(inner.asked).toBe(10_001);
    hit(limit, 1, 'somebody 1');
    expect(inner.asked).toBe(10_001);
    hit(limit, 1, 'somebody 0');
    expect(inner.asked).toBe(10_002);
  });
});

describe('For any order of hits, a storage with a denial cache', () => {
  it('returns the same as one without', () => {
    const limits = [
      limitOf({ amount: 3, period: 1000 }),
      limitOf({ id: 'identity', strategy: 'token-bucket', amount: 2, period: 700 }),
      limitOf({ id: 'moving', strategy: 'moving-window', amount: 3, period: 900 }),
      limitOf({ id: 'sliding', strategy: 'sliding-window-counter', amount: 3, period: 800 }),
      limitOf({ id: 'elastic', strategy: 'fixed-window-elastic-expiry', amount: 3, period: 800 }),
      limitOf({ id: 'blocking', amount: 2, period: 300, block: [500, 2500] }),
    ];
    const step = fc.record({
      wait: fc.oneof(fc.integer({ min: 0, max: 60 }), fc.integer({ min: 0, max: 1500 })),
      which: fc.subarray([0, 1, 2, 3, 4, 5], { minLength: 1, maxLength: 2 }),
      cost: fc.integer({ min: 0, max: 3 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const plain = new ScriptedStorage({ clock });
        const cached = new DenialCacheStorage(new ScriptedStorage({ clock }), () => clock.now());
        for (const { wait, which, cost } of steps) {
          clock.advance(wait);
          const batch = which.map((index): Hit => ({
            identity: 'somebody',
            limit: limits[index] as Limit,
            cost,
          }));
          const [one, other] = [plain.consume(batch), cached.consume(batch) as BatchResult];
          expect(other.allowed).toBe(one.allowed);
          expect(new Decisive(other)).toEqual(new Decisive(one));
        }
      }),
      { numRuns: 1000 },
    );
  });
});

/** The parts of a refusal that a client sees. */
class Decisive {
  readonly now: number;
  readonly retryAfter: (number | undefined)[];

  constructor({ now, outcomes }: BatchResult) {
    this.now = now;
    this.retryAfter = outcomes.filter(({ allowed }) => !allowed).map(({ retryAfter }) => retryAfter);
  }
}
