import { beforeEach, describe, expect, it } from '@jest/globals';
import { createLimit, MemoryStorage, type CreateLimitOptions, type Limit, type Receipt } from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { receiptsOf, withdrawn } from '../../../lib/core/contract.js';
import { strategyNames } from '../../../lib/strategies/strategies.js';
import { calendarOf } from '../../support/strategies.js';
import { loadTemporal } from '../../../lib/common/temporal.js';

await loadTemporal();

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** Takes the only place of a storage, so that all others share cells. */
const holder = limitOf({ id: 'holder', period: 100 * HOUR });

let clock: ManualClock;
let storage: MemoryStorage;
let one: string;
let other: string;

beforeEach(() => {
  clock = new ManualClock();
  storage = new MemoryStorage({ clock, maxKeys: 1 });
  hit('holder', holder);
  one = 'one';
  other = findSharer(one);
});

describe.each(strategyNames)('A settlement of a hit by %s', (strategy) => {
  const limit = limitOf({ strategy, amount: 10, calendar: calendarOf(strategy, 'hour') });

  it('in a shared cell applies to all of its identities', () => {
    const [receipt] = hit(one, limit, 3);
    hit(other, limit, 2);
    expect(leftOf(limit)).toEqual([5, 5]);
    const settled = settle(receipt, 1);
    expect(leftOf(limit)).toEqual([7, 7]);
    const charged = settle(settled, 6);
    expect(leftOf(limit)).toEqual([2, 2]);
    settle(charged, 60);
    expect(leftOf(limit)).toEqual([0, 0]);
  });

  it('of an identity that has left the cell applies to that identity only', () => {
    const [receipt] = hit(one, limit, 3);
    hit(other, limit, 2);
    makeRoom();
    hit(one, limit);
    expect(leftOf(limit)).toEqual([4, 5]);
    const settled = settle(receipt, 1);
    expect(leftOf(limit)).toEqual([6, 5]);
    settle(settled, 4);
    expect(leftOf(limit)).toEqual([3, 5]);
  });

  it('lets its identity leave the cell if there is room', () => {
    const [receipt] = hit(one, limit, 3);
    hit(other, limit, 2);
    makeRoom();
    settle(receipt, 0);
    expect(leftOf(limit)).toEqual([8, 5]);
  });

  it('to 0 of all hits in a shared cell removes it', () => {
    const receipts = [...hit(one, limit, 3), ...hit(other, limit, 2)];
    storage.settle(withdrawn(receipts));
    expect(leftOf(limit)).toEqual([10, 10]);
  });
});

describe('A limit by outcome that blocks', () => {
  const limit = limitOf({ amount: 2, block: [5 * HOUR], refundable: true });

  it('does not block the identities of a shared cell while their reservations are pending', () => {
    const [first] = hit(one, limit);
    const [second] = hit(other, limit);
    expect(hit(other, limit)).toEqual([]);
    settle(first, 1);
    expect(hit(other, limit)).toEqual([]);
    settle(second, 0);
    expect(leftOf(limit)).toEqual([1, 1]);
  });

  it('blocks the identities of a shared cell once hits that count have exhausted it', () => {
    const settled = [...hit(one, limit), ...hit(other, limit)].map((receipt) => settle(receipt, 1));
    expect(hit(other, limit)).toEqual([]);
    storage.settle(withdrawn(settled));
    expect(leftOf(limit)).toEqual([0, 0]);
  });

  it('keeps the block of a shared cell when an identity that has left it settles its last reservation', () => {
    const [first] = hit(other, limit);
    makeRoom();
    const [own] = hit(one, limit);
    const [second] = hit(other, limit);
    const settled = [settle(first, 1), settle(second, 1)];
    expect(hit(other, limit)).toEqual([]);
    settle(own, 0);
    storage.settle(withdrawn(settled));
    expect(leftOf(limit)).toEqual([1, 0]);
  });

  it('keeps the reservations of an identity that has left a shared cell', () => {
    hit(other, limit);
    clock.advance(30 * MINUTE);
    makeRoom();
    hit(one, limit);
    clock.advance(50 * MINUTE);
    const [receipt] = hit(one, limit, 2);
    clock.advance(20 * MINUTE);
    expect(hit(one, limit)).toEqual([]);
    settle(receipt, 0);
    expect(leftOf(limit)).toEqual([2, 2]);
  });

  it('does not share the block of an identity that settles a hit of its own cell', () => {
    storage = new MemoryStorage({ clock, maxKeys: 2 });
    const [receipt] = hit(one, limit);
    storage.block([{ identity: one, limit, duration: 5 * HOUR }]);
    clock.advance(90 * MINUTE);
    hit('holder', holder);
    const [shared] = hit(other, limit);
    settle(receipt, 0);
    settle(shared, 0);
    expect(leftOf(limit)).toEqual([0, 2]);
  });
});

function limitOf(options: Partial<CreateLimitOptions> = {}): Limit {
  return createLimit({ id: 'limit', strategy: 'fixed-window', amount: 1, period: HOUR, ...options });
}

/** Consumes a cost. Returns the receipt; `undefined` if it was refused. */
function hit(identity: string, limit: Limit, cost = 1): Receipt[] {
  return receiptsOf(storage.consume([{ identity, limit, cost }]));
}

/** Settles a hit, and returns its new receipt. */
function settle(receipt: Receipt | undefined, actual: number): Receipt {
  if (receipt === undefined) throw new Error('The hit was refused.');
  const { identity, limit, at } = receipt;
  const window = storage.settle([{ ...receipt, actual }]).outcomes[0]?.window;
  return { identity, limit, at, cost: actual, window };
}

function left(identity: string, limit: Limit): number | undefined {
  return storage.peek([{ identity, limit, cost: 0 }]).outcomes[0]?.remaining;
}

/** Returns the remaining units of both identities. */
function leftOf(limit: Limit): (number | undefined)[] {
  return [left(one, limit), left(other, limit)];
}

/** Lets one identity leave its shared cell at its next call. */
function makeRoom(): void {
  storage.remove([{ identity: 'holder', limit: holder }]);
}

/** Returns an identity that shares the cell of another one. */
function findSharer(identity: string): string {
  const limit = limitOf({ id: 'search' });
  hit(identity, limit);
  let index = 0;
  while (left(`other ${index}`, limit) === 1) index++;
  storage.remove([{ identity, limit }]);
  return `other ${index}`;
}
