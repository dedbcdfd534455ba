import { describe, expect, it } from '@jest/globals';
import { slidingWindowCounter } from '../../../lib/strategies/sliding-window-counter.strategy.js';
import { Subject } from '../../support/strategies.js';

const T = 1_700_000_000_000;
const subjectOf = (amount = 10): Subject =>
  new Subject('sliding-window-counter', { amount, period: 1000, burst: amount });

describe('A sliding window counter', () => {
  it('opens its first window at the first hit', () => {
    const subject = subjectOf();
    subject.hit(4, T + 123);

    expect(subject.numbers).toEqual([0, 4, T + 123]);
    expect(subject.remaining(T + 1122)).toBe(6);
  });

  it('weights the previous window by the share of it that still lies within a period', () => {
    const subject = subjectOf();
    subject.hit(10, T);

    expect(
      [1000, 1001, 1100, 1101, 1500, 1900, 1901, 1999, 2000].map((ms) => subject.remaining(T + ms)),
    ).toEqual([0, 1, 1, 2, 5, 9, 10, 10, 10]);
  });

  it('adds the current window to it, and keeps the windows in step with the first hit', () => {
    const subject = subjectOf();
    subject.hit(8, T);
    subject.hit(2, T + 1500);

    expect(subject.numbers).toEqual([8, 2, T + 1000]);
    expect(subject.remaining(T + 1500)).toBe(4);
    subject.hit(4, T + 1500);
    expect(subject.hit(1, T + 1500)).toBeUndefined();
    subject.hit(1, T + 2000);
    expect(subject.numbers).toEqual([6, 1, T + 2000]);
  });

  it('returns the next unit at the first ms at which the weight falls by a whole one', () => {
    const subject = subjectOf();
    subject.hit(10, T);

    expect(subject.evaluate(1, T + 300)).toEqual({
      allowed: false,
      remaining: 0,
      resetTime: T + 1001,
      retryAfter: 701,
    });
    expect(subject.evaluate(5, T + 300).retryAfter).toBe(1101);
    expect(subject.evaluate(10, T + 300).retryAfter).toBe(1601);
    expect(subject.evaluate(11, T + 300).retryAfter).toBe(Infinity);
    expect(subject.evaluate(1, T + 1050)).toEqual({
      allowed: true,
      remaining: 1,
      resetTime: T + 1101,
      retryAfter: 0,
    });
  });

  it('makes a cost wait for the current window if the previous one is not enough', () => {
    const subject = subjectOf();
    subject.hit(4, T);
    subject.hit(6, T + 1500);

    expect(subject.remaining(T + 1500)).toBe(2);
    expect(subject.evaluate(4, T + 1500).retryAfter).toBe(251);
    expect(subject.remaining(T + 1751)).toBe(4);
    expect(subject.evaluate(5, T + 1500).retryAfter).toBe(501);
    expect(subject.remaining(T + 2001)).toBe(5);
  });

  it('starts again after a whole idle window', () => {
    const subject = subjectOf();
    subject.hit(10, T);
    subject.hit(1, T + 2000);

    expect(subject.numbers).toEqual([0, 1, T + 2000]);
    expect(subject.evaluate(1, T + 3999).remaining).toBe(10);
    subject.hit(1, T + 4321);
    expect(subject.numbers).toEqual([0, 1, T + 4321]);
  });

  it('keeps its windows while the previous one counts, even without weight', () => {
    const subject = subjectOf();
    subject.hit(1, T);

    expect(subject.evaluate(10, T + 1001)).toEqual({
      allowed: true,
      remaining: 10,
      resetTime: T + 1001,
      retryAfter: 0,
    });
    subject.hit(1, T + 1500);
    expect(subject.numbers).toEqual([1, 1, T + 1000]);
  });

  it('may take twice the amount in a period, but never more than the amount in one window', () => {
    const subject = subjectOf();
    subject.hit(10, T + 0);
    const times = Array.from({ length: 1000 }, (_, ms) => T + 1000 + ms);
    const taken = times.filter((time) => subject.hit(1, time) !== undefined);

    expect(taken).toHaveLength(10);
    expect(taken.slice(0, 3)).toEqual([T + 1001, T + 1101, T + 1201]);
    expect(taken.at(-1)).toBe(T + 1901);
  });

  it('changes nothing by a refused hit', () => {
    const subject = subjectOf();
    subject.hit(10, T);
    subject.hit(1, T + 999);
    subject.hit(11, T + 1500);
    expect(subject.numbers).toEqual([0, 10, T]);

    const unused = subjectOf();
    unused.hit(11, T);
    expect(unused.numbers).toBeUndefined();
  });

  it('keeps what was consumed when the amount changes', () => {
    const subject = subjectOf();
    subject.hit(10, T);
    const smaller = subject.withQuota({ amount: 4, period: 1000, burst: 4 });

    expect(smaller.evaluate(1, T)).toEqual({
      allowed: false,
      remaining: 0,
      resetTime: T + 1601,
      retryAfter: 1601,
    });
    expect(subject.withQuota({ amount: 15, period: 1000, burst: 15 }).remaining(T)).toBe(5);
  });

  it('begins its window now when the clock has gone back before it', () => {
    const subject = subjectOf();
    subject.hit(6, T);
    subject.hit(4, T + 1600);
    const back = T - 50_000;

    expect(subject.evaluate(1, back)).toEqual({
      allowed: false,
      remaining: 0,
      resetTime: back + 1,
      retryAfter: 1,
    });
    expect(subject.evaluate(10, back).retryAfter).toBe(1751);
    subject.hit(11, back);
    expect(subject.numbers).toEqual([6, 4, back]);
    expect(subject.remaining(back + 2000)).toBe(10);
  });

  it('refunds to the window of the receipt, the current or the previous one', () => {
    const subject = subjectOf();
    const before = subject.take(6, T);
    const current = subject.take(3, T + 1500);

    expect([before.window, current.window]).toEqual([T, T + 1000]);
    subject.settle(current, 0, T + 1500);
    expect(subject.numbers).toEqual([6, 0, T + 1000]);
    subject.settle(before, 0, T + 1500);
    expect(subject.numbers).toBeUndefined();
  });

  it('refunds to the previous window a hit from when that was current', () => {
    const subject = subjectOf();
    subject.hit(4, T);
    const taken = subject.take(6, T + 500);
    subject.settle(taken, 0, T + 1500);

    expect(subject.numbers).toEqual([4, 0, T + 1000]);
    expect(subject.remaining(T + 1500)).toBe(8);
  });

  it('charges more to the window of the receipt, the current or the previous one', () => {
    const subject = subjectOf();
    const before = subject.take(6, T);
    const current = subject.take(3, T + 1500);
    subject.settle(before, 8, T + 1500);
    subject.settle(current, 9, T + 1500);

    expect(subject.numbers).toEqual([8, 9, T + 1000]);
    expect(subject.remaining(T + 1500)).toBe(0);
    // 9 × left / 1000 weighs at most 9 in the next window, which leaves one.
    expect(subject.evaluate(1, T + 1500)).toMatchObject({ retryAfter: 376 });
  });

  it('charges a hit that has reserved nothing to the current window, and opens one if there is none', () => {
    const subject = subjectOf();
    const none = { at: T, window: undefined, cost: 0 };
    const opened = subject.settle(none, 4, T + 300);
    expect(opened.window).toBe(T + 300);
    subject.settle(none, 1, T + 1400);

    expect(subject.numbers).toEqual([4, 1, T + 1300]);
  });

  it('charges nothing once the window has ended and has no weight', () => {
    const subject = subjectOf();
    const old = subject.take(2, T);
    subject.settle(old, 9, T + 2000);
    expect(subject.remaining(T + 2000)).toBe(10);
  });

  it('starts again after a window with only refunded hits', () => {
    const subject = subjectOf();
    subject.hit(6, T);
    subject.settle(subject.take(3, T + 1500), 0, T + 1500);
    subject.hit(1, T + 2500);

    expect(subject.numbers).toEqual([0, 1, T + 2500]);
  });

  it('charges the difference of both costs to the current window if that of the hit holds nothing', () => {
    const subject = new Subject('sliding-window-counter', { amount: 9, period: 1000, burst: 9 });
    const old = subject.take(2, T);
    subject.settle(old, 0, T + 100);
    subject.hit(1, T + 200);

    expect(subject.settle(old, 2, T + 400).window).toBe(T);
    expect(subject.numbers).toEqual([0, 1, T + 200]);
    expect(subject.settle(old, 5, T + 400).window).toBe(T + 200);
    expect(subject.numbers).toEqual([0, 4, T + 200]);
  });

  it('refunds nothing to later windows', () => {
    const subject = subjectOf();
    const old = subject.take(2, T);
    subject.hit(3, T + 1000);
    subject.hit(3, T + 2000);
    subject.settle(old, 0, T + 2500);

    expect(subject.numbers).toEqual([3, 3, T + 2000]);
  });

  it('refunds by hand to the current window, at most its count', () => {
    const subject = subjectOf();
    subject.hit(6, T);
    subject.hit(3, T + 1500);

    subject.refundByHand(2, T + 1600);
    expect(subject.numbers).toEqual([6, 1, T + 1000]);
    subject.refundByHand(5, T + 1600);
    expect(subject.numbers).toEqual([6, 0, T + 1000]);
    subject.refundByHand(5, T + 2000);
    expect(subject.numbers).toBeUndefined();
  });

  it('expires two periods after the start of a window that counted, and one after any other', () => {
    const subject = subjectOf();
    subject.hit(5, T);
    expect(subject.expiresAt).toBe(T + 2000);

    const taken = subject.take(1, T + 1500);
    expect(subject.expiresAt).toBe(T + 3000);
    subject.settle(taken, 0, T + 1500);
    expect(subject.numbers).toEqual([5, 0, T + 1000]);
    expect(subject.expiresAt).toBe(T + 2000);
  });

  it('weights exactly even if the product is large', () => {
    const year = 31_104_000_000;
    const amount = 250_000;
    const subject = new Subject('sliding-window-counter', { amount, period: year, burst: amount });
    subject.hit(amount, T);

    // amount × left / year is a whole number at every 124,416 ms.
    expect(subject.remaining(T + year + 124_415)).toBe(1);
    expect(subject.remaining(T + year + 124_416)).toBe(1);
    expect(subject.remaining(T + year + 124_417)).toBe(2);
  });
});

it('A sliding window counter whose windows have ended does not wait', () => {
  const limit = { amount: 10, period: 1000, burst: 10 };
  const state = { previous: 10, current: 10, start: T };
  expect(slidingWindowCounter.wait(state, limit, 1, T)).toBe(1001);
  expect(slidingWindowCounter.wait(state, limit, 1, T + 2000)).toBe(0);
});
