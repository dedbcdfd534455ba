import { describe, expect, it } from '@jest/globals';
import { createLimit, MemoryStorage, type CreateLimitOptions, type Limit } from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { OVERFLOW_CELLS } from '../../../lib/storages/memory/memory-table.js';
import { rateStrategyNames } from '../../../lib/strategies/strategies.js';
import { calendarOf } from '../../support/strategies.js';

/** The same claims over 10 million identities, with their size: `node test/bench/run.mjs flood`. */

const HOUR = 3_600_000;

describe('a flood of a million identities', () => {
  it('gets no more cells than maxKeys and the shared ones, and resets no identity', () => {
    const maxKeys = 100_000;
    const storage = new MemoryStorage({ maxKeys, clock: new ManualClock() });
    const twice = limit({ amount: 2 });
    const limited = names('limited', 100);
    const halfWay = names('half-way', 100);
    for (const identity of [...limited, ...halfWay, ...limited]) hit(storage, twice, identity);

    let admitted = 0;
    let forgotten = 0;
    for (let index = 0; index < 1_000_000; index++) {
      if (hit(storage, twice, `flood ${index}`)) admitted++;
      if (index % 50_000 === 0)
        forgotten += limited.filter((identity) => hit(storage, twice, identity)).length;
    }
    forgotten += limited.filter((identity) => hit(storage, twice, identity)).length;

    expect(forgotten).toBe(0);
    expect(halfWay.map((identity) => hit(storage, twice, identity))).toEqual(halfWay.map(() => true));
    expect(halfWay.map((identity) => hit(storage, twice, identity))).toEqual(halfWay.map(() => false));
    // One hit of each identity with its own cell, and as many of the others as the shared cells
    // allow.
    expect(admitted).toBe(maxKeys - limited.length - halfWay.length + 2 * OVERFLOW_CELLS);
    expect(storage.reset()).toBe(maxKeys + OVERFLOW_CELLS);
  });
});

describe('a flood on a full storage', () => {
  const maxKeys = 5000;
  const flood = names('flood', 100_000); // enough to hit every shared cell

  it.each(rateStrategyNames)('does not affect identities that are limited by %s', (strategy) => {
    const storage = new MemoryStorage({ maxKeys, clock: new ManualClock() });
    const thrice = limit({ strategy, amount: 3, calendar: calendarOf(strategy, 'hour') });
    const limited = names('limited', 100);
    for (const identity of [...limited, ...limited, ...limited]) hit(storage, thrice, identity);

    for (const identity of flood) hit(storage, thrice, identity);

    expect(limited.filter((identity) => hit(storage, thrice, identity))).toEqual([]);
    expect(storage.reset()).toBe(maxKeys + OVERFLOW_CELLS);
  });

  it('unblocks no identity', () => {
    const clock = new ManualClock();
    const storage = new MemoryStorage({ maxKeys, clock });
    const blocking = limit({ amount: 1, period: 1000, block: [HOUR] });
    const blocked = names('blocked', 100);
    for (const identity of [...blocked, ...blocked]) hit(storage, blocking, identity);

    for (const identity of flood) hit(storage, blocking, identity);
    clock.advance(1000);
    for (const identity of flood) hit(storage, blocking, identity);

    expect(blocked.filter((identity) => hit(storage, blocking, identity))).toEqual([]);
  });

  it('on one limit does not affect identities of another limit, and takes nothing from a batch that they refuse', () => {
    const storage = new MemoryStorage({ maxKeys, clock: new ManualClock() });
    const once = limit({ id: 'once', amount: 1 });
    const often = limit({ id: 'often', amount: 1000 });
    const limited = names('limited', 100);
    for (const identity of limited) hit(storage, once, identity);

    for (const identity of flood) hit(storage, often, identity);

    expect(limited.filter((identity) => hit(storage, once, identity))).toEqual([]);
    const [identity] = limited;
    if (identity === undefined) throw new Error('There is nobody.');
    const before = storage.peek([{ identity, limit: often, cost: 1 }]).outcomes[0]?.remaining;
    const { allowed } = storage.consume([
      { identity, limit: often, cost: 1 },
      { identity, limit: once, cost: 1 },
    ]);
    expect(allowed).toBe(false);
    expect(storage.peek([{ identity, limit: often, cost: 1 }]).outcomes[0]?.remaining).toBe(before);
  });

  it('drops every expired cell that a new identity finds, so that the table of the Map need not grow', () => {
    const clock = new ManualClock();
    const storage = new MemoryStorage({ maxKeys: 100, clock });
    const once = limit({ amount: 1 });
    for (const identity of names('flood', 100)) hit(storage, once, identity);
    clock.advance(HOUR);

    expect(hit(storage, once, 'newcomer')).toBe(true);

    expect(storage.reset()).toBe(100 - 16 + 1);
  });

  it('replaces only identities whose windows have ended', () => {
    const clock = new ManualClock();
    const storage = new MemoryStorage({ maxKeys, clock });
    const once = limit({ amount: 1 });
    for (const identity of flood.slice(0, maxKeys)) hit(storage, once, identity);
    clock.advance(HOUR);
    const limited = names('limited', 100);
    for (const identity of limited) hit(storage, once, identity);

    const newcomers = names('newcomer', maxKeys - limited.length);
    expect(newcomers.filter((identity) => !hit(storage, once, identity))).toEqual([]);
    for (const identity of names('late', 50_000)) hit(storage, once, identity);

    expect([...limited, ...newcomers].filter((identity) => hit(storage, once, identity))).toEqual([]);
    expect(storage.reset()).toBe(maxKeys + OVERFLOW_CELLS);
  });
});

function limit(options: Partial<CreateLimitOptions>): Limit {
  return createLimit({ id: 'flooded', strategy: 'fixed-window', amount: 1, period: HOUR, ...options });
}

function names(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix} ${index}`);
}

function hit(storage: MemoryStorage, limit: Limit, identity: string): boolean {
  return storage.consume([{ identity, limit, cost: 1 }]).allowed;
}
