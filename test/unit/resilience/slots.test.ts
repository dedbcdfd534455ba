import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createLimit, StorageError, type BatchResult, type Hit, type Settlement } from 'nestjs-limits';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { onlyOutcome } from '../../../lib/core/contract.js';
import { slotsTakenBy, type HeldSlots } from '../../../lib/limiter/held-slots.js';
import { CircuitBreakerStorage } from '../../../lib/resilience/circuit-breaker.storage.js';
import { DenialCacheStorage } from '../../../lib/resilience/denial-cache.storage.js';
import { FallbackStorage } from '../../../lib/resilience/fallback.storage.js';
import { until } from '../../support/servers/server-process.js';
import { ScriptedStorage } from './scripted.storage.js';

const four = createLimit({ id: 'four', strategy: 'concurrency', amount: 4, period: 30_000 });
const rate = createLimit({ id: 'rate', strategy: 'fixed-window', amount: 2, period: 60_000 });
const hitsOn = (limit = four, cost = 1): Hit[] => [{ identity: 'somebody', limit, cost }];

/** A store that also fails to settle. */
class FailingStorage extends ScriptedStorage {
  override settle(settlements: readonly Settlement[]): BatchResult {
    if (this.does === 'fail') throw new StorageError('no power');
    return super.settle(settlements);
  }
}

let store: FailingStorage;
let storage: FallbackStorage;
beforeEach(() => {
  store = new FailingStorage();
  storage = new FallbackStorage(store, { onError: 'fallback', instances: 2 });
});

async function take(of = storage): Promise<{ result: BatchResult; slots: HeldSlots | undefined }> {
  const result = await of.consume(hitsOn());
  return { result, slots: slotsTakenBy(of, result) };
}

/** The slots that the store counts. */
function stored(): number {
  const { does } = store;
  store.does = 'answer';
  const { remaining } = onlyOutcome(store.peek(hitsOn(four, 0)));
  store.does = does;
  return four.amount - remaining;
}

describe('While the store fails, slots', () => {
  it('that this process holds count against its share', async () => {
    const { slots } = await take();
    store.does = 'fail';
    expect([(await take()).result.allowed, (await take()).result.allowed]).toEqual([true, false]);
    await slots?.release();
    expect((await take()).result).toMatchObject({ allowed: true, degraded: 'fallback' });
    expect((await take()).result.allowed).toBe(false);
  });

  it('that were taken without the store are registered with it by their renewal, above the limit if need be', async () => {
    store.does = 'fail';
    const taken = [await take(), await take()];
    store.does = 'answer';
    store.consume(hitsOn(four, 4)); // by another process
    for (const { slots } of taken) slots?.renew();
    expect(stored()).toBe(4); // remaining is never negative
    for (const { slots } of taken) await slots?.release();
    expect(stored()).toBe(4);
    expect((await take()).result.allowed).toBe(false);
  });

  it('that were registered count once, here and there, and are released in both', async () => {
    store.does = 'fail';
    const { slots } = await take();
    slots?.renew(); // extends it here
    await nextTurn();
    store.does = 'answer';
    slots?.renew();
    slots?.renew();
    await nextTurn();
    expect(stored()).toBe(1);
    store.does = 'fail';
    expect([(await take()).result.allowed, (await take()).result.allowed]).toEqual([true, false]);
    store.does = 'answer';
    await slots?.release();
    expect(stored()).toBe(0);
    store.does = 'fail';
    expect((await take()).result.allowed).toBe(true);
  });

  it('are not held by requests that are let through', async () => {
    const allowing = new FallbackStorage(store, { onError: 'allow', instances: 1 });
    store.does = 'fail';
    const { result, slots } = await take(allowing);
    expect([result.allowed, slots]).toEqual([true, undefined]);
  });
});

describe('A slot that the store counts late', () => {
  it.each(['fallback', 'allow', 'deny'] as const)('is released, with the option %s', async (onError) => {
    const guarded = new CircuitBreakerStorage(
      store,
      { timeout: 5, failureThreshold: 100, failureWindow: 10_000, probeInterval: 10 },
      { degraded: () => undefined, recovered: () => undefined },
    );
    const late = new FallbackStorage(guarded, { onError, instances: 1 });
    store.does = 'hang';
    const answer = await Promise.resolve(late.consume(hitsOn())).then(
      ({ allowed }: BatchResult) => allowed,
      () => false,
    );
    expect(answer).toBe(onError !== 'deny');
    store.does = 'answer';
    store.release();
    await nextTurn();
    await nextTurn();
    expect(stored()).toBe(0);
    await guarded.close();
  });
});

describe('While the circuit is open, a slot', () => {
  let isOpen = false;
  let guarded: CircuitBreakerStorage;
  afterEach(() => guarded.close());

  it('is not renewed, and its release follows when the store is back', async () => {
    guarded = new CircuitBreakerStorage(
      store,
      { timeout: 1000, failureThreshold: 1, failureWindow: 10_000, probeInterval: 10 },
      {
        degraded: () => {
          isOpen = true;
        },
        recovered: () => {
          isOpen = false;
        },
      },
    );
    const layered = new FallbackStorage(guarded, { onError: 'fallback', instances: 1 });
    const [kept, released] = [await take(layered), await take(layered)];
    store.does = 'fail';
    await layered.consume(hitsOn());
    await until(() => isOpen, 'the circuit is open');
    for (let renewal = 0; renewal < 5; renewal++) {
      kept.slots?.renew();
      await nextTurn();
    }
    await released.slots?.release();
    expect(stored()).toBe(2);
    store.does = 'answer';
    await until(() => !isOpen, 'the circuit is closed');
    await nextTurn();
    expect(stored()).toBe(1);
    expect(store.settled.map(({ actual }) => actual)).toEqual([0]);
  });
});

describe('The denial cache', () => {
  it('caches no refusal for want of slots', async () => {
    const cached = new DenialCacheStorage(store);
    const slots = slotsTakenBy(cached, await cached.consume(hitsOn(four, 4)));
    expect((await cached.consume(hitsOn())).allowed).toBe(false);
    await slots?.release();
    expect((await cached.consume(hitsOn())).allowed).toBe(true);
    expect(store.asked).toBe(3);
  });

  it('caches a refusal by a rate beside slots, which their release does not end', async () => {
    const cached = new DenialCacheStorage(store);
    const batch = [...hitsOn(rate), ...hitsOn(four)];
    const first = await cached.consume(batch);
    await cached.consume(batch);
    expect((await cached.consume(batch)).allowed).toBe(false);
    expect(store.asked).toBe(3);
    await slotsTakenBy(cached, first)?.release();
    expect(await cached.consume(batch)).toMatchObject({
      allowed: false,
      outcomes: [{ allowed: false }, { allowed: true, retryAfter: 0 }],
    });
    expect(store.asked).toBe(3);
  });

  it('keeps the unknown time of slots that refuse beside a rate', async () => {
    const cached = new DenialCacheStorage(store);
    store.consume([...hitsOn(rate, 2), ...hitsOn(four, 4)]);
    const batch = [...hitsOn(rate), ...hitsOn(four)];
    await cached.consume(batch);
    expect((await cached.consume(batch)).outcomes[1]).toMatchObject({
      allowed: false,
      retryAfter: undefined,
    });
    expect(store.asked).toBe(2);
  });

  it('caches a refusal by a rate beside a limit by outcome, and none by an elastic window', async () => {
    const cached = new DenialCacheStorage(store);
    const byOutcome = createLimit({ ...rate, id: 'by outcome', burst: undefined, refundable: true });
    const elastic = createLimit({
      id: 'elastic',
      strategy: 'fixed-window-elastic-expiry',
      amount: 9,
      period: 60_000,
    });
    for (let time = 0; time < 5; time++) await cached.consume([...hitsOn(rate), ...hitsOn(byOutcome)]);
    expect(store.asked).toBe(3);
    for (let time = 0; time < 5; time++) await cached.consume([...hitsOn(rate), ...hitsOn(elastic)]);
    expect(store.asked).toBe(8);
  });
});
