import { beforeEach, describe, expect, it } from '@jest/globals';
import {
  CalendarWindowRateLimiter,
  ConfigurationError,
  createLimit,
  FixedWindowElasticExpiryRateLimiter,
  FixedWindowRateLimiter,
  loadTemporal,
  MemoryStorage,
  MovingWindowRateLimiter,
  SlidingWindowCounterRateLimiter,
  StorageError,
  TokenBucketRateLimiter,
  type BatchResult,
  type Hit,
  type Limit,
  type RateLimiter,
  type Settlement,
} from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { Meter } from '../../../lib/limiter/meter.js';
import { DenialCacheStorage } from '../../../lib/resilience/denial-cache.storage.js';
import { FallbackStorage } from '../../../lib/resilience/fallback.storage.js';
import { LeasingStorage } from '../../../lib/resilience/leasing.storage.js';
import { ScriptedStorage } from '../resilience/scripted.storage.js';

/** Counts the calls of a store. */
class CountingStorage extends MemoryStorage {
  taken: number[] = [];
  settled: number[] = [];

  override consume(batch: readonly Hit[]): BatchResult {
    this.taken.push(batch[0]?.cost ?? NaN);
    return super.consume(batch);
  }

  override settle(settlements: readonly Settlement[]): BatchResult {
    this.settled.push(...settlements.map(({ actual }) => actual));
    return super.settle(settlements);
  }
}

const DAY = 86_400_000;
const LIMIT = '1000/day';

let clock: ManualClock;
let storage: CountingStorage;
let limiter: FixedWindowRateLimiter;

beforeEach(() => {
  clock = new ManualClock();
  storage = new CountingStorage({ clock });
  limiter = new FixedWindowRateLimiter(storage);
});

function left(limits = LIMIT, by: RateLimiter = limiter): unknown {
  return (by.getWindowStats(limits, 'acme') as { remaining: number }).remaining;
}

function open(step = 200, limits = LIMIT, by: RateLimiter = limiter): Promise<Meter> {
  return by.meter(limits, ['acme'], { step });
}

/** Adds the same units until they are refused; returns how often they were not. */
async function drain(meter: Meter, units: number): Promise<number> {
  let count = 0;
  while (await meter.add(units)) count++;
  return count;
}

describe('A meter', () => {
  it('takes a step in one call, and gives back its unused part at the end', async () => {
    {
      await using meter = await open();
      for (let token = 0; token < 250; token++) expect(await meter.add(1)).toBe(true);
      expect([storage.taken, left(), meter.used]).toEqual([[200, 200], 600, 250]);
    }
    expect([storage.settled, left()]).toEqual([[50], 750]);
  });

  it('takes nothing when it is opened, and settles nothing if it was not used', async () => {
    const meter = await open();
    expect([meter.used, meter.decision]).toEqual([0, undefined]);
    await meter.end();
    expect([storage.taken, storage.settled]).toEqual([[], []]);
  });

  it('takes more than a step for more units than a step has', async () => {
    const meter = await open(10);
    expect(await meter.add(35)).toBe(true);
    expect(storage.taken).toEqual([35]);
  });

  it('uses what is left of a step before it takes another', async () => {
    const meter = await open(10);
    for (const units of [7, 7, 7]) expect(await meter.add(units)).toBe(true);
    await meter.end();
    expect([storage.taken, storage.settled, left()]).toEqual([[10, 10, 10], [1], 979]);
  });

  it('takes what is left if that is less than a step, to the last unit', async () => {
    void limiter.hit(LIMIT, ['acme'], { cost: 870 });
    const meter = await open(100);
    expect(await drain(meter, 1)).toBe(130);
    expect(left()).toBe(0);
  });

  it('takes nothing for units that are not to be had, and fewer may still be', async () => {
    void limiter.hit(LIMIT, ['acme'], { cost: 990 });
    const meter = await open();
    expect(await meter.add(11)).toBe(false);
    expect([meter.used, left()]).toEqual([0, 10]);
    expect(await meter.add(10)).toBe(true);
  });

  it('tells how long to wait for the units that were refused, not for a step', async () => {
    const bucket = new TokenBucketRateLimiter(storage);
    const meter = await open(500, '1000/1000 seconds', bucket); // a unit per second
    expect(await meter.add(995)).toBe(true);
    expect(await meter.add(12)).toBe(false);
    expect(meter.decision).toMatchObject({ allowed: false, remaining: 5, retryAfter: 7000 });
    clock.advance(7000);
    expect(await meter.add(12)).toBe(true);
  });

  it('accepts 0 units without a call', async () => {
    const meter = await open();
    expect(await meter.add(0)).toBe(true);
    expect(storage.taken).toEqual([]);
  });

  it('rejects units and steps that are no whole numbers', async () => {
    const meter = await open();
    for (const units of [-1, 0.5, NaN]) await expect(meter.add(units)).rejects.toThrow(RangeError);
    for (const step of [0, -1, 1.5, NaN])
      await expect(open(step)).rejects.toThrow(`The step of a meter must be a whole number, at least 1; got`);
  });

  it('rejects malformed limits when it is opened', async () => {
    await expect(open(1, '5/minuet')).rejects.toThrow('Cannot read the rate limit "5/minuet"');
  });

  it('rejects limits of concurrent requests, whose slots are held', async () => {
    await expect(open(1, '5/minute; 5 concurrent')).rejects.toThrow(
      'The limit "5 concurrent" counts concurrent requests, whose slots are held until they are released.',
    );
  });

  it('passes on an error at its end that is not one of the store', async () => {
    const meter = await open(10);
    await meter.add(3);
    storage.settle = () => {
      throw new TypeError('a mistake');
    };
    await expect(meter.end()).rejects.toThrow(new TypeError('a mistake'));
  });

  it('rejects units after its end, and ends once', async () => {
    const meter = await open();
    await meter.add(1);
    await Promise.all([meter.end(), meter.end()]);
    await meter[Symbol.asyncDispose]();
    expect(storage.settled).toEqual([1]);
    await expect(meter.add(1)).rejects.toThrow(ConfigurationError);
    expect(left()).toBe(999);
  });

  it('takes the same number from each of several limits', async () => {
    const meter = await open(60, '100/minute; 1000/day');
    expect(await drain(meter, 1)).toBe(100);
    await meter.end();
    expect([left('100/minute'), left()]).toEqual([0, 900]);
  });
});

describe('Concurrent calls of one meter', () => {
  it('use each unit once, in the order of the calls', async () => {
    const meter = await open(30, '100/day');
    const order: [number, boolean][] = [];
    await Promise.all([40, 40, 40, 20, 1].map(async (units) => order.push([units, await meter.add(units)])));
    expect(order).toEqual([
      [40, true],
      [40, true],
      [40, false],
      [20, true],
      [1, false],
    ]);
    expect(meter.used).toBe(100);
  });

  it('are done before the meter ends', async () => {
    const meter = await open();
    const added = [meter.add(5), meter.add(6)];
    await meter.end();
    expect(await Promise.all(added)).toEqual([true, true]);
    expect(left()).toBe(989);
  });

  it('fail alone, and not those after them', async () => {
    const store = new ScriptedStorage();
    const meter = await new FixedWindowRateLimiter(store).meter(LIMIT, ['acme'], { step: 10 });
    store.does = 'fail';
    const failed = meter.add(1);
    const next = failed.catch(() => (store.does = 'answer')).then(() => meter.add(1));
    await expect(failed).rejects.toThrow(StorageError);
    expect(await next).toBe(true);
  });
});

describe('Units of a meter whose window has ended', () => {
  it('are dropped, one ms after the last that counts them', async () => {
    const meter = await open(200, '300/minute');
    await meter.add(150);
    clock.advance(59_999);
    await meter.add(20);
    expect(storage.taken).toEqual([200]);
    clock.advance(1);
    await meter.add(20);
    await meter.end();
    expect([storage.taken, left('300/minute')]).toEqual([[200, 200], 280]);
  });

  it('are not used in the next window, so that none exceeds its amount', async () => {
    const meters = await Promise.all(Array.from({ length: 3 }, () => open(40, '100/minute')));
    for (const meter of meters) await meter.add(1); // 40, 40 and the last 20
    clock.advance(60_000);
    const used = await Promise.all(meters.map((meter) => drain(meter, 1)));
    expect(used.reduce((sum, one) => sum + one)).toBe(100);
  });

  it('are dropped at the end of a sliding window, which keeps what was used', async () => {
    const sliding = new SlidingWindowCounterRateLimiter(storage);
    const meter = await open(60, '100/minute', sliding);
    await meter.add(10);
    clock.advance(60_000);
    await meter.add(0);
    expect(left('100/minute', sliding)).toBe(90);
  });

  it('are dropped once a moving window no longer counts their time', async () => {
    const moving = new MovingWindowRateLimiter(storage);
    const meter = await open(60, '100/minute', moving);
    await meter.add(10);
    clock.advance(59_999);
    await meter.add(10);
    expect(storage.taken).toEqual([60]);
    clock.advance(1);
    await meter.add(10);
    expect(storage.taken).toEqual([60, 60]);
  });

  it('are dropped once a bucket has refilled, and given back while it has not', async () => {
    const bucket = new TokenBucketRateLimiter(storage, { burst: 120 });
    const meter = await open(60, '60/minute', bucket);
    await meter.add(10);
    clock.advance(119_999);
    await meter.add(10);
    expect(storage.taken).toEqual([60]);
    clock.advance(1);
    await meter.add(10);
    expect(storage.taken).toEqual([60, 60]);
    await meter.end();
    expect(left('60/minute', bucket)).toBe(110);
  });

  it('go back to an elastic window that others have extended', async () => {
    const elastic = new FixedWindowElasticExpiryRateLimiter(storage);
    const meter = await open(60, '100/minute', elastic);
    await meter.add(10);
    clock.advance(30_000);
    void elastic.hit('100/minute', 'acme');
    clock.advance(30_000);
    await meter.add(0);
    expect(left('100/minute', elastic)).toBe(89);
  });

  it('are dropped by the first of several windows, and go back to the others', async () => {
    const limits = '100/minute; 1000/day';
    const meter = await open(60, limits);
    await meter.add(10);
    clock.advance(60_000);
    await meter.add(0);
    expect([left('100/minute'), left()]).toEqual([100, 990]);
  });
});

describe('A meter of a calendar window', () => {
  it('uses its units to the end of the month, and none of them in the next', async () => {
    await loadTemporal();
    clock.set(Date.parse('2026-01-31T22:59:59.999Z'));
    const calendar = new CalendarWindowRateLimiter(storage, { timeZone: 'Europe/Berlin' });
    const limit = '100/month';
    await using meter = await calendar.meter(limit, ['acme'], { step: 30 });
    await meter.add(10);
    expect([await meter.add(5), storage.taken]).toEqual([true, [30]]);
    clock.advance(1);
    expect([await meter.add(5), storage.taken]).toEqual([true, [30, 30]]);
    await meter.end();
    expect(left(limit, calendar)).toBe(95);
  });
});

describe('A meter while the store is down', () => {
  let store: ScriptedStorage;

  beforeEach(() => {
    store = new ScriptedStorage();
  });

  function meterOn(onError: 'allow' | 'deny' | 'fallback', step = 10): Promise<Meter> {
    const fallback = new FallbackStorage(store, { onError, instances: 2 });
    return new FixedWindowRateLimiter(fallback).meter('100/day', ['acme'], { step });
  }

  it("rejects with onError: 'deny', and keeps the units it has", async () => {
    const meter = await meterOn('deny');
    await meter.add(4);
    store.does = 'fail';
    expect(await meter.add(6)).toBe(true);
    await expect(meter.add(1)).rejects.toThrow(StorageError);
    expect(meter.used).toBe(10);
  });

  it("lets units in uncounted with onError: 'allow', and keeps none of them", async () => {
    const meter = await meterOn('allow');
    store.does = 'fail';
    for (let units = 0; units < 200; units++) expect(await meter.add(1)).toBe(true);
    expect(meter.decision?.degraded).toBe('allow');
    store.does = 'answer';
    expect(await drain(meter, 1)).toBe(100);
  });

  it("takes the share of this process with onError: 'fallback', and gives back the unused part to it", async () => {
    store.does = 'fail';
    const fallback = new FallbackStorage(store, { onError: 'fallback', instances: 2 });
    const by = new FixedWindowRateLimiter(fallback);
    const meter = await by.meter('100/day', ['acme'], { step: 40 });
    await meter.add(5);
    await meter.end();
    expect(left('100/day', by)).toBe(45);
    expect(await drain(await by.meter('100/day', ['acme'], { step: 40 }), 1)).toBe(45);
  });

  it('uses units of this process and of the store one after the other, and gives each back where it was taken', async () => {
    class RecoveringStorage extends MemoryStorage {
      isDown = true;
      override consume(batch: readonly Hit[]): BatchResult {
        if (this.isDown) throw new StorageError('no power');
        return super.consume(batch);
      }
    }
    const recovering = new RecoveringStorage({ clock });
    const by = new FixedWindowRateLimiter(
      new FallbackStorage(recovering, { onError: 'fallback', instances: 1 }),
    );
    recovering.isDown = false;
    await by.hit('100/minute', 'acme');
    recovering.isDown = true;
    clock.advance(50_000);
    await using meter = await by.meter('100/minute', ['acme'], { step: 10 });
    await meter.add(5); // of this process's window, which opens now
    recovering.isDown = false;
    await meter.add(8); // 3 more of the store's, which ends in 10 s
    expect(left('100/minute', by)).toBe(89);
    clock.advance(10_000);
    await meter.add(1);
    expect([meter.used, left('100/minute', by)]).toEqual([14, 90]);
  });

  it('ends without an error, and its unused units stay counted', async () => {
    const lost = new (class extends MemoryStorage {
      override settle(): BatchResult {
        throw new StorageError('no power');
      }
    })();
    const by = new FixedWindowRateLimiter(lost);
    const meter = await by.meter('100/day', ['acme'], { step: 40 });
    await meter.add(5);
    await meter.end();
    expect(left('100/day', by)).toBe(60);
  });

  it('loses less than one step by a crash', async () => {
    const meter = await open(200);
    await meter.add(1); // and never ends
    expect(await drain(await open(200), 1)).toBe(800);
  });
});

describe('A meter of limits with options', () => {
  function limitOf(options: Partial<Parameters<typeof createLimit>[0]> = {}): Limit {
    return createLimit({ id: 'tokens', strategy: 'fixed-window', amount: 100, period: DAY, ...options });
  }

  function meterOf(limit: Limit, step = 30): Meter {
    return new Meter(storage, [{ identity: 'acme', limit, cost: 0 }], step);
  }

  it('takes no step that would block its limit, only the units it needs', async () => {
    const limit = limitOf({ block: [3_600_000] });
    const meter = meterOf(limit);
    expect(await drain(meter, 7)).toBe(14);
    expect(storage.taken.every((cost) => cost === 7)).toBe(true);
    expect(meter.decision?.retryAfter).toBe(DAY);
    expect(await meter.add(2)).toBe(false); // blocked by the refusal of the units it needed
  });

  it.each([30, 1000])(
    'is let in by a shadow limit, which counts as if it were enforced: steps of %d',
    async (step) => {
      const meter = meterOf(limitOf({ mode: 'shadow' }), step);
      for (let units = 0; units < 60; units++) expect(await meter.add(1)).toBe(true);
      await meter.end();
      const left = () =>
        storage.peek([{ identity: 'acme', limit: limitOf(), cost: 0 }]).outcomes[0]?.remaining;
      expect(left()).toBe(40);
      const other = meterOf(limitOf({ mode: 'shadow' }), step);
      for (let units = 0; units < 60; units++) expect(await other.add(1)).toBe(true);
      expect(other.decision?.limits[0]).toMatchObject({ allowed: false, remaining: 0 });
      await other.end();
      expect(left()).toBe(0);
    },
  );

  it('takes whole steps of an enforced limit while one in shadow has nothing left', async () => {
    const limits = [limitOf({ id: 'tokens' }), limitOf({ id: 'shadow', mode: 'shadow', amount: 10 })];
    const meter = new Meter(
      storage,
      limits.map((limit) => ({ identity: 'acme', limit, cost: 0 })),
      30,
    );
    expect(await drain(meter, 1)).toBe(100);
    expect(storage.taken).toEqual([30, 10, 1, 30, 30, 29, 1]);
    expect(meter.decision?.limits.map(({ remaining }) => remaining)).toEqual([0, 0]);
  });

  it('confirms the units that it used to a limit by outcome, which then blocks', async () => {
    const limit = limitOf({ block: [2 * DAY], refundable: true });
    const meter = meterOf(limit);
    expect(await drain(meter, 50)).toBe(2);
    expect(meter.decision?.retryAfter).toBe(2 * DAY);
  });
});

describe('Metered streams behind the layers of resilience', () => {
  async function useUp(by: RateLimiter): Promise<number> {
    const streams = Array.from({ length: 12 }, async (_, stream) => {
      await using meter = await by.meter(LIMIT, ['acme'], { step: 50 });
      for (let part = stream; await meter.add(1 + (part % 4)); part++);
      return meter.used;
    });
    return (await Promise.all(streams)).reduce((sum, used) => sum + used, 0);
  }

  it('never exceed a budget with leases, and use all of it but less than a step', async () => {
    const leasing = new LeasingStorage(storage, { size: 'auto', maxError: 0.1, instances: 1 });
    const used = await useUp(new FixedWindowRateLimiter(leasing));
    await leasing.close();
    expect(used).toBeGreaterThan(950);
    expect(used).toBeLessThanOrEqual(1000);
  });

  it('never exceed a budget with cached refusals, and use all of it but less than a step', async () => {
    const used = await useUp(new FixedWindowRateLimiter(new DenialCacheStorage(storage)));
    expect(used).toBeGreaterThan(950);
    expect(used).toBeLessThanOrEqual(1000);
    expect(left()).toBe(1000 - used);
  });
});
