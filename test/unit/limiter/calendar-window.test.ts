import { beforeAll, describe, expect, it } from '@jest/globals';
import {
  CalendarWindowRateLimiter,
  createLimit,
  loadTemporal,
  MemoryStorage,
  type CalendarOptions,
  type Limit,
  type Receipt,
} from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { receiptsOf } from '../../../lib/core/contract.js';
import { DenialCacheStorage } from '../../../lib/resilience/denial-cache.storage.js';
import { FallbackStorage } from '../../../lib/resilience/fallback.storage.js';
import { LeasingStorage } from '../../../lib/resilience/leasing.storage.js';
import { StorageError } from '../../../lib/common/errors.js';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

function monthly(calendar: Omit<CalendarOptions, 'unit'> = {}, amount = 3): Limit {
  return createLimit({
    id: 'quota',
    strategy: 'calendar-window',
    amount,
    period: 30 * DAY,
    calendar: { unit: 'month', ...calendar },
  });
}

function clockAt(time: string): ManualClock {
  return new ManualClock(Date.parse(time));
}

beforeAll(async () => loadTemporal());

describe('CalendarWindowRateLimiter', () => {
  it('counts in the windows of its time zone and anchor', () => {
    const clock = clockAt('2026-03-14T22:59:59.999Z');
    const limiter = new CalendarWindowRateLimiter(new MemoryStorage({ clock }), {
      timeZone: 'Europe/Berlin',
      anchor: '2026-01-15',
    });
    expect([1, 2, 3].map(() => limiter.hit('2/month', 'customer', '42'))).toEqual([true, true, false]);
    expect(limiter.getWindowStats('2/month', 'customer', '42')).toEqual({
      remaining: 0,
      resetTime: Date.parse('2026-03-14T23:00Z'),
    });

    clock.advance(1);
    expect(limiter.getWindowStats('2/month', 'customer', '42')).toEqual({
      remaining: 2,
      resetTime: clock.now(),
    });
    expect(limiter.hit('2/month', 'customer', '42')).toBe(true);
  });

  it('counts a month and 30 days apart', () => {
    const limiter = new CalendarWindowRateLimiter(new MemoryStorage({ clock: clockAt('2026-03-01T00:00Z') }));
    expect([limiter.hit('1/month', 'a'), limiter.hit('1/30 days', 'a')]).toEqual([true, true]);
    expect([limiter.hit('1/month', 'a'), limiter.hit('1/30 days', 'a')]).toEqual([false, false]);
  });

  it('understands the keys of its items', async () => {
    const storage = new MemoryStorage();
    const limiter = new CalendarWindowRateLimiter(storage);
    await limiter.hit('5/month', ['a'], { cost: 2 });
    expect(storage.get('LIMITER/a/5/1/month')).toBe(2);
    await storage.clear('LIMITER/a/5/1/month');
    expect(storage.get('LIMITER/a/5/1/month')).toBe(0);
  });

  it.each([
    [
      { timeZone: 'Berlin' },
      'The timeZone of CalendarWindowRateLimiter must be the name of an IANA time zone',
    ],
    [{ anchor: '15' }, 'The anchor of CalendarWindowRateLimiter must be a local date'],
  ])('refuses %j', (options, message) => {
    expect(() => new CalendarWindowRateLimiter(new MemoryStorage(), options)).toThrow(message);
  });
});

describe('A calendar window', () => {
  it('ends at the earlier of both ends after its anchor has changed', () => {
    const storage = new MemoryStorage({ clock: clockAt('2026-03-10T00:00Z') });
    const hit = (anchor: string): number => {
      const { outcomes } = storage.consume([{ identity: 'a', limit: monthly({ anchor }), cost: 1 }]);
      return outcomes[0]?.resetTime ?? 0;
    };
    expect(hit('2026-01-01')).toBe(Date.parse('2026-04-01T00:00Z'));
    expect(hit('2026-01-20')).toBe(Date.parse('2026-03-20T00:00Z'));
    expect(hit('2026-01-01')).toBe(Date.parse('2026-03-20T00:00Z'));
  });

  it('settles by a receipt that was serialised', () => {
    const storage = new MemoryStorage({ clock: clockAt('2026-03-10T00:00Z') });
    const limit = monthly({ timeZone: 'Asia/Kathmandu' });
    const taken = receiptsOf(storage.consume([{ identity: 'a', limit, cost: 3 }]));
    const [receipt] = JSON.parse(JSON.stringify(taken)) as Receipt[];
    if (receipt === undefined) throw new Error('there is a receipt');

    expect(storage.settle([{ ...receipt, actual: 1 }]).outcomes[0]).toMatchObject({
      remaining: 2,
      resetTime: Date.parse('2026-03-31T18:15Z'),
    });
  });

  it('is not refused by a refusal that was cached for another anchor', async () => {
    const clock = clockAt('2026-03-10T00:00Z');
    let calls = 0;
    const storage = new (class extends MemoryStorage {
      override consume(...args: Parameters<MemoryStorage['consume']>) {
        calls++;
        return super.consume(...args);
      }
    })({ clock });
    const cache = new DenialCacheStorage(storage, () => clock.now());
    const hit = (limit: Limit) => cache.consume([{ identity: 'a', limit, cost: 1 }]);
    const [early, late] = [monthly({ anchor: '2026-01-11' }, 1), monthly({ anchor: '2026-01-20' }, 1)];
    await hit(early);
    await hit(early);
    expect((await hit(early)).allowed).toBe(false);
    expect(calls).toBe(2);

    await hit(late);
    expect(calls).toBe(3);
    expect((await hit(early)).outcomes[0]?.resetTime).toBe(Date.parse('2026-03-11T00:00Z'));
    expect(calls).toBe(3);
  });

  it('is leased, and its permits end with it', async () => {
    const clock = clockAt('2026-03-30T23:59:00Z');
    const storage = new MemoryStorage({ clock });
    const leasing = new LeasingStorage(storage, { size: 10, maxError: 0.2, instances: 1 }, () => clock.now());
    const limit = monthly({}, 100);
    const hit = () => leasing.consume([{ identity: 'a', limit, cost: 1 }]);
    const used = () => 100 - (storage.peek([{ identity: 'a', limit, cost: 0 }]).outcomes[0]?.remaining ?? 0);
    await hit();
    expect(used()).toBe(10);
    clock.advance(DAY);
    for (let index = 0; index < 8; index++) await hit();
    expect(used()).toBe(10); // 31 days are longer than the nominal month

    clock.advance(60_000);
    expect((await hit()).outcomes[0]).toMatchObject({
      allowed: true,
      resetTime: Date.parse('2026-05-01T00:00Z'),
    });
    expect(used()).toBe(10);
  });

  it('is counted by this process while the store is lost', async () => {
    const lost = new (class extends MemoryStorage {
      override consume(): never {
        throw new StorageError('lost');
      }
    })();
    const fallback = new FallbackStorage(lost, { onError: 'fallback', instances: 3 });
    const limit = monthly({ timeZone: 'Europe/Berlin' }, 6);
    const hits = [1, 2, 3].map(async () => fallback.consume([{ identity: 'a', limit, cost: 1 }]));
    expect((await Promise.all(hits)).map(({ allowed }) => allowed)).toEqual([true, true, false]);
  });
});
