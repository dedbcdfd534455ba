import { describe, expect, it } from '@jest/globals';
import { movingWindow } from '../../../lib/strategies/moving-window.strategy.js';
import { Subject } from '../../support/strategies.js';

const T = 1_700_000_000_000;
const subjectOf = (amount = 3): Subject =>
  new Subject('moving-window', { amount, period: 1000, burst: amount });

describe('A moving window', () => {
  it('counts a hit until the last ms before it is a period old, and not at exactly that age', () => {
    const subject = subjectOf();
    subject.hit(1, T);

    expect(subject.evaluate(3, T + 999)).toEqual({
      allowed: false,
      remaining: 2,
      resetTime: T + 1000,
      retryAfter: 1,
    });
    expect(subject.evaluate(3, T + 1000)).toEqual({
      allowed: true,
      remaining: 3,
      resetTime: T + 1000,
      retryAfter: 0,
    });
  });

  it('returns the units of the oldest hit first', () => {
    const subject = subjectOf();
    subject.hit(1, T);
    subject.hit(2, T + 400);

    expect(subject.evaluate(1, T + 500)).toEqual({
      allowed: false,
      remaining: 0,
      resetTime: T + 1000,
      retryAfter: 500,
    });
    expect(subject.evaluate(2, T + 500).retryAfter).toBe(900);
    expect(subject.evaluate(3, T + 500).retryAfter).toBe(900);
    expect(subject.evaluate(4, T + 500).retryAfter).toBe(Infinity);
    expect(subject.remaining(T + 1399)).toBe(1);
    expect(subject.remaining(T + 1400)).toBe(3);
  });

  it('never takes more than the amount in a period, across any boundary', () => {
    const subject = subjectOf();
    subject.hit(1, T);
    subject.hit(2, T + 999);

    expect(subject.hit(2, T + 1000)).toBeUndefined();
    expect(subject.hit(1, T + 1000)).toBeDefined();
    expect(subject.hit(1, T + 1998)).toBeUndefined();
    expect(subject.hit(2, T + 1999)).toBeDefined();
  });

  it('stores hits of one ms, of any cost, as one entry', () => {
    const subject = subjectOf(1000);
    subject.hit(700, T);
    subject.hit(1, T);
    subject.hit(299, T + 1);

    expect(subject.numbers).toEqual([T, 701, T + 1, 299]);
  });

  it('stores nothing for hits that were refused or cost nothing', () => {
    const subject = subjectOf();
    subject.hit(4, T);
    subject.hit(0, T);
    expect(subject.numbers).toBeUndefined();

    subject.hit(3, T);
    subject.hit(1, T + 1);
    expect(subject.numbers).toEqual([T, 3]);
  });

  it('drops expired entries', () => {
    const subject = subjectOf();
    subject.hit(1, T);
    subject.hit(1, T + 500);
    subject.hit(1, T + 1000);
    expect(subject.numbers).toEqual([T + 500, 1, T + 1000, 1]);

    subject.hit(1, T + 5000);
    expect(subject.numbers).toEqual([T + 5000, 1]);
  });

  it.each([100, 1000])('counts correctly over more entries than it keeps, with %i allowed', (amount) => {
    const subject = subjectOf(amount);
    const times = Array.from({ length: 1000 }, (_, index) => T + index * 10);
    const left = times.map((time) => subject.hit(1, time) && subject.remaining(time));

    expect(left).toEqual(times.map((_, index) => amount - Math.min(index + 1, 100)));
    expect(subject.numbers).toEqual(times.slice(-100).flatMap((time) => [time, 1]));
  });

  it('keeps what was consumed when the amount changes', () => {
    const subject = subjectOf(5);
    subject.hit(2, T);
    subject.hit(3, T + 100);
    const smaller = subject.withQuota({ amount: 2, period: 1000, burst: 2 });

    expect(smaller.evaluate(1, T + 200)).toEqual({
      allowed: false,
      remaining: 0,
      resetTime: T + 1100,
      retryAfter: 900,
    });
    expect(subject.withQuota({ amount: 9, period: 1000, burst: 9 }).remaining(T + 200)).toBe(4);
  });

  it('counts entries from the future as made now, after the clock went back', () => {
    const subject = subjectOf();
    subject.hit(1, T);
    subject.hit(2, T + 100);
    const back = T - 50_000;

    expect(subject.evaluate(3, back)).toEqual({
      allowed: false,
      remaining: 0,
      resetTime: back + 1000,
      retryAfter: 1000,
    });
    subject.hit(1, back);
    expect(subject.numbers).toEqual([back, 3]);
    expect(subject.remaining(back + 1000)).toBe(3);
  });

  it('keeps the order of its entries when hits continue after the clock went back', () => {
    const subject = subjectOf(9);
    subject.hit(1, T);
    subject.hit(1, T + 500);
    subject.hit(1, T + 200);
    subject.hit(1, T + 300);

    expect(subject.numbers).toEqual([T, 1, T + 200, 2, T + 300, 1]);
  });

  it('refunds to the entry of the receipt', () => {
    const subject = subjectOf(9);
    const [first, second] = [subject.take(2, T), subject.take(3, T)];
    const third = subject.take(1, T + 100);

    expect([first.window, second.window, third.window]).toEqual([T, T, T + 100]);
    subject.settle(second, 0, T + 200);
    expect(subject.numbers).toEqual([T, 2, T + 100, 1]);
    subject.settle(first, 0, T + 200);
    expect(subject.numbers).toEqual([T + 100, 1]);
    subject.settle(third, 0, T + 200);
    expect(subject.numbers).toBeUndefined();
  });

  it('refunds nothing of an entry that has expired or was refunded', () => {
    const subject = subjectOf();
    const first = subject.take(1, T);
    subject.hit(2, T + 500);

    subject.settle(first, 0, T + 1000);
    expect(subject.remaining(T + 1000)).toBe(1);
    const again = subject.take(1, T + 1000);
    subject.settle(again, 0, T + 1001);
    subject.settle(again, 0, T + 1001);
    expect(subject.remaining(T + 1001)).toBe(1);
  });

  it('charges more at the time of the hit, and adds a removed entry again', () => {
    const subject = subjectOf(9);
    const first = subject.take(2, T);
    subject.hit(1, T + 100);
    const more = subject.settle(first, 5, T + 200);
    expect(more).toEqual({ at: T, window: T, cost: 5 });
    expect(subject.numbers).toEqual([T, 5, T + 100, 1]);

    const none = subject.settle(more, 0, T + 300);
    expect(subject.numbers).toEqual([T + 100, 1]);
    subject.settle(none, 9, T + 400);
    expect(subject.numbers).toEqual([T, 9, T + 100, 1]);
    expect(subject.evaluate(1, T + 400)).toMatchObject({ remaining: 0, retryAfter: 600 });
  });

  it('charges nothing once the time of the hit has expired', () => {
    const subject = subjectOf();
    const first = subject.take(1, T);
    subject.settle(first, 3, T + 1000);
    expect(subject.numbers).toBeUndefined();
    subject.settle({ at: T, window: undefined, cost: 0 }, 3, T + 1000);
    expect(subject.numbers).toBeUndefined();
    subject.settle({ at: T + 1, window: undefined, cost: 0 }, 3, T + 1000);
    expect(subject.numbers).toEqual([T + 1, 3]);
  });

  it('refunds the newest units first by hand, at most its count', () => {
    const subject = subjectOf(9);
    subject.hit(2, T);
    subject.hit(3, T + 100);

    subject.refundByHand(4, T + 200);
    expect(subject.numbers).toEqual([T, 1]);
    subject.refundByHand(4, T + 200);
    expect(subject.numbers).toBeUndefined();
  });

  it('expires when its newest entry expires', () => {
    const subject = subjectOf();
    subject.hit(1, T);
    subject.hit(1, T + 300);

    expect(subject.expiresAt).toBe(T + 1300);
  });

  it('is stored as pairs of time and units, and loaded again', () => {
    const state = movingWindow.decode([T, 2, T + 100, 3]);
    expect(state).toEqual({ log: [T, 2, T + 100, 5], size: 2, first: 0 });
    expect(movingWindow.encode(state)).toEqual([T, 2, T + 100, 3]);
  });
});
