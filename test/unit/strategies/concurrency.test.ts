import { describe, expect, it } from '@jest/globals';
import { Subject, type Taken } from '../../support/strategies.js';

const T = 1_700_000_000_000;
const subjectOf = (amount = 3): Subject =>
  new Subject('concurrency', { amount, period: 1000, burst: amount });

/** What a hit of cost 0 has taken. */
const NOTHING: Taken = { at: T, window: undefined, cost: 0 };

describe('Slots', () => {
  it('are held for a period, until the last ms before its end', () => {
    const subject = subjectOf();
    subject.hit(1, T);
    subject.hit(2, T + 400);

    expect(subject.evaluate(1, T + 999)).toEqual({
      allowed: false,
      remaining: 0,
      resetTime: T + 999,
      retryAfter: NaN,
    });
    expect([1000, 1399, 1400].map((time) => subject.remaining(T + time))).toEqual([1, 1, 3]);
  });

  it('are never enough for a cost above the amount', () => {
    const subject = subjectOf();
    subject.hit(1, T);

    expect(subject.evaluate(4, T)).toEqual({
      allowed: false,
      remaining: 2,
      resetTime: T,
      retryAfter: Infinity,
    });
  });

  it('are free at once when they are released, and once only', () => {
    const subject = subjectOf();
    const first = subject.take(2, T);
    subject.hit(1, T + 10);

    subject.settle(first, 0, T + 20);
    expect(subject.remaining(T + 20)).toBe(2);
    subject.settle(first, 0, T + 30);
    expect(subject.remaining(T + 30)).toBe(2);
  });

  it('are forgotten with the last one that is released', () => {
    const subject = subjectOf();
    const [one, other] = [subject.take(1, T), subject.take(1, T)];

    subject.settle(one, 0, T + 20);
    expect(subject.numbers).toEqual([T + 20, T + 1, T + 1, T + 1000, 1]);
    subject.settle(other, 0, T + 20);
    expect(subject.numbers).toBeUndefined();
  });

  it('are told apart when they are taken in one ms', () => {
    const subject = subjectOf();
    const taken = [1, 1, 1].map((cost) => subject.take(cost, T));

    expect(new Set(taken.map(({ window }) => window)).size).toBe(3);
    for (const [index, slot] of taken.entries()) {
      subject.settle(slot, 0, T + 1);
      expect(subject.remaining(T + 1)).toBe(index + 1);
    }
  });

  it('are held for another period from a renewal', () => {
    const subject = subjectOf();
    const taken = subject.take(1, T);
    const renewed = subject.settle(taken, 1, T + 600);

    expect(renewed.window).toBe(taken.window);
    expect([1000, 1599, 1600].map((time) => subject.remaining(T + time))).toEqual([2, 2, 3]);
  });

  it('end at their own times when another is renewed', () => {
    const subject = subjectOf();
    const first = subject.take(1, T);
    subject.take(1, T + 100);
    subject.settle(first, 1, T + 900);

    expect([1099, 1100, 1899, 1900].map((time) => subject.remaining(T + time))).toEqual([1, 2, 2, 3]);
  });

  it('are taken again by a renewal after their end, above the amount if need be', () => {
    const subject = subjectOf();
    const old = subject.take(2, T);
    subject.hit(3, T + 1000);

    subject.settle(old, 2, T + 1100);
    expect([subject.used(T + 1100), subject.remaining(T + 1100)]).toEqual([5, 0]);
    subject.settle(old, 0, T + 1200);
    expect(subject.used(T + 1200)).toBe(3);
  });

  it('are taken by a settlement of a hit that took none, and by none to 0', () => {
    const subject = subjectOf();

    expect(subject.settle(NOTHING, 0, T + 10).window).toBeUndefined();
    expect(subject.numbers).toBeUndefined();
    const taken = subject.settle(NOTHING, 2, T + 20);
    expect(subject.remaining(T + 1019)).toBe(1);
    subject.settle(taken, 0, T + 30);
    expect(subject.remaining(T + 30)).toBe(3);
  });

  it('are not returned without a receipt', () => {
    const subject = subjectOf();
    subject.hit(2, T);

    subject.refundByHand(1, T + 10);
    expect(subject.remaining(T + 10)).toBe(1);
  });

  it('that have ended are dropped with the next change', () => {
    const subject = subjectOf();
    subject.hit(1, T);
    subject.hit(1, T + 500);
    subject.hit(1, T + 1200);

    expect(subject.numbers).toEqual([T + 1200, T + 1200, T + 500, T + 1500, 1, T + 1200, T + 2200, 1]);
  });

  it('that end exactly at the next change are dropped with it', () => {
    const subject = subjectOf();
    subject.hit(1, T);
    subject.hit(1, T + 500);
    subject.hit(1, T + 1000);

    expect(subject.numbers).toEqual([T + 1000, T + 1000, T + 500, T + 1500, 1, T + 1000, T + 2000, 1]);
  });

  it('begin a new log once all have ended', () => {
    const subject = subjectOf();
    subject.hit(3, T);
    subject.hit(1, T + 1000);

    expect(subject.numbers).toEqual([T + 1000, T + 1000, T + 1000, T + 2000, 1]);
  });

  it('keep the time that they had left when the clock goes back', () => {
    const subject = subjectOf();
    subject.hit(1, T - 400);
    subject.hit(1, T);
    const back = T - 50_000;
    expect(subject.remaining(back)).toBe(1);

    subject.hit(1, back);
    expect([599, 600, 999, 1000].map((time) => subject.remaining(back + time))).toEqual([0, 1, 1, 3]);
  });

  it('keep that time from a refusal on, too', () => {
    const subject = subjectOf();
    subject.hit(3, T);
    subject.refuse(T - 50_000);

    expect([999, 1000].map((time) => subject.remaining(T - 50_000 + time))).toEqual([0, 3]);
  });

  it('are not changed by a refusal without that', () => {
    const subject = subjectOf();
    subject.hit(1, T);
    subject.hit(2, T + 10);
    const before = subject.numbers;

    for (const time of [T + 10, T + 500, T + 1000]) subject.refuse(time);
    expect(subject.numbers).toEqual(before);
  });

  it('expire with the one that ends last', () => {
    const subject = subjectOf();
    const first = subject.take(1, T);
    expect(subject.expiresAt).toBe(T + 1000);
    subject.take(1, T + 500);
    expect(subject.expiresAt).toBe(T + 1500);
    subject.settle(first, 1, T + 900);
    expect(subject.expiresAt).toBe(T + 1900);
  });

  it('are stored with all that tells them apart', () => {
    const subject = subjectOf();
    const first = subject.take(2, T);
    const newest = subject.take(1, T);
    subject.settle(newest, 0, T);
    subject.storeAndLoad();

    expect(subject.numbers).toEqual([T, T + 1, T, T + 1000, 2]);
    expect([999, 1000].map((time) => subject.remaining(T + time))).toEqual([1, 3]);
    expect(subject.take(1, T).window).toBe(T + 2);
    subject.settle(first, 0, T + 1);
    expect(subject.remaining(T + 1)).toBe(2);
  });

  it('of limits of several amounts are counted together', () => {
    const subject = subjectOf();
    subject.hit(3, T);
    const quota = (amount: number) => ({ amount, period: 1000, burst: amount });

    expect(subject.withQuota(quota(5)).remaining(T)).toBe(2);
    expect(subject.withQuota(quota(2)).remaining(T)).toBe(0);
  });
});
