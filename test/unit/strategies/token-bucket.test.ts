import { describe, expect, it } from '@jest/globals';
import { Subject } from '../../support/strategies.js';

const T = 1_700_000_000_000;
/** Ten tokens a second: one per 100 ms. */
const subjectOf = (burst = 10): Subject => new Subject('token-bucket', { amount: 10, period: 1000, burst });

describe('A token bucket', () => {
  it('starts full', () => {
    expect(subjectOf().evaluate(10, T)).toEqual({
      allowed: true,
      remaining: 10,
      resetTime: T,
      retryAfter: 0,
    });
    expect(subjectOf(25).evaluate(25, T)).toEqual({
      allowed: true,
      remaining: 25,
      resetTime: T,
      retryAfter: 0,
    });
    expect(subjectOf(25).evaluate(26, T).retryAfter).toBe(Infinity);
  });

  it('refills evenly, a whole token at a time', () => {
    const subject = subjectOf();
    subject.hit(10, T);

    expect([0, 99, 100, 101, 199, 200, 999, 1000, 5000].map((ms) => subject.remaining(T + ms))).toEqual([
      0, 0, 1, 1, 1, 2, 9, 10, 10,
    ]);
    expect(subject.evaluate(1, T + 50)).toEqual({
      allowed: false,
      remaining: 0,
      resetTime: T + 100,
      retryAfter: 50,
    });
    expect(subject.evaluate(4, T + 50)).toMatchObject({ allowed: false, retryAfter: 350 });
    expect(subject.evaluate(10, T + 50)).toMatchObject({ allowed: false, retryAfter: 950 });
    expect(subject.evaluate(1, T + 150)).toEqual({
      allowed: true,
      remaining: 1,
      resetTime: T + 200,
      retryAfter: 0,
    });
  });

  it('does not lose the fraction of a token that has been refilled', () => {
    const subject = subjectOf();
    subject.hit(10, T);
    subject.hit(1, T + 199);

    expect(subject.numbers).toEqual([10_000 - 1990 + 1000, T + 199, 10]);
    expect(subject.remaining(T + 199)).toBe(0);
    expect(subject.remaining(T + 200)).toBe(1);
  });

  it('rounds up the time of a token that falls between two ms', () => {
    const subject = new Subject('token-bucket', { amount: 3, period: 1000, burst: 3 });
    subject.hit(3, T);

    expect(subject.evaluate(1, T)).toMatchObject({ resetTime: T + 334, retryAfter: 334 });
    expect(subject.evaluate(2, T)).toMatchObject({ retryAfter: 667 });
    expect(subject.evaluate(3, T)).toMatchObject({ retryAfter: 1000 });
    expect([333, 334, 666, 667, 999, 1000].map((ms) => subject.remaining(T + ms))).toEqual([
      0, 1, 1, 2, 2, 3,
    ]);
  });

  it('refills several tokens per ms', () => {
    const subject = new Subject('token-bucket', { amount: 7, period: 2, burst: 7 });
    subject.hit(7, T);

    expect([0, 1, 2].map((ms) => subject.remaining(T + ms))).toEqual([0, 3, 7]);
    expect(subject.evaluate(4, T).retryAfter).toBe(2);
  });

  it('allows at most a burst in an instant, and the amount per period after that', () => {
    const subject = subjectOf(25);
    const times = Array.from({ length: 1001 }, (_, ms) => T + ms);

    expect(subject.hit(25, T)).toBeDefined();
    expect(times.filter((time) => subject.hit(1, time) !== undefined)).toEqual(
      Array.from({ length: 10 }, (_, index) => T + 100 * (index + 1)),
    );
  });

  it('does not drift over a hundred thousand hits', () => {
    const subject = new Subject('token-bucket', { amount: 7, period: 1_000_003, burst: 7 });
    subject.hit(7, T);
    let now = T;
    for (let hits = 0; hits < 100_000; hits++) {
      const waiting = subject.evaluate(1, now).retryAfter;
      now += waiting;
      subject.take(1, now);
    }

    expect(now).toBe(T + Math.ceil((100_000 * 1_000_003) / 7));
  });

  it('counts exactly up to 2^53 of burst × period', () => {
    const year = 31_104_000_000;
    const burst = Math.floor(Number.MAX_SAFE_INTEGER / year);
    const subject = new Subject('token-bucket', { amount: 1, period: year, burst });
    subject.hit(burst, T);

    expect(subject.evaluate(1, T)).toMatchObject({ remaining: 0, resetTime: T + year, retryAfter: year });
    expect(subject.evaluate(burst, T).retryAfter).toBe(burst * year);
    expect(subject.remaining(T + 7 * year - 1)).toBe(6);
    expect(subject.remaining(T + 7 * year)).toBe(7);
  });

  it('changes nothing by a refused hit or one that costs nothing', () => {
    const subject = subjectOf();
    subject.hit(11, T);
    subject.hit(0, T);
    expect(subject.numbers).toBeUndefined();

    subject.hit(10, T);
    subject.hit(1, T + 50);
    expect(subject.numbers).toEqual([10_000, T, 10]);
  });

  it('keeps what was consumed when the amount or the burst changes', () => {
    const subject = subjectOf();
    subject.hit(8, T);

    expect(subject.withQuota({ amount: 100, period: 1000, burst: 100 }).remaining(T)).toBe(92);
    expect(subject.withQuota({ amount: 5, period: 1000, burst: 5 }).evaluate(1, T)).toEqual({
      allowed: false,
      remaining: 0,
      resetTime: T + 800,
      retryAfter: 800,
    });
    expect(subject.withQuota({ amount: 0, period: 1000, burst: 0 }).evaluate(1, T)).toEqual({
      allowed: false,
      remaining: 0,
      resetTime: T,
      retryAfter: Infinity,
    });
  });

  it('refills from now on after the clock went back', () => {
    const subject = subjectOf();
    subject.hit(10, T);
    const back = T - 50_000;

    expect(subject.evaluate(1, back)).toEqual({
      allowed: false,
      remaining: 0,
      resetTime: back + 100,
      retryAfter: 100,
    });
    subject.hit(1, back);
    expect(subject.numbers).toEqual([10_000, back, 10]);
    expect(subject.remaining(back + 100)).toBe(1);
  });

  it('expires when it is full at the smaller of the amounts that share it', () => {
    const subject = subjectOf();
    subject.hit(10, T);

    expect(subject.expiresAt).toBe(T + 1000);
    expect(subject.withQuota({ amount: 100, period: 1000, burst: 100 }).expiresAt).toBe(T + 1000);
    expect(subject.withQuota({ amount: 5, period: 1000, burst: 10 }).expiresAt).toBe(T + 2000);
  });

  it('knows the hit still when it is full after a settlement', () => {
    const subject = subjectOf();
    const taken = subject.take(4, T);

    expect(subject.settle(taken, 0, T)).toEqual({ at: T, window: T, cost: 0 });
    expect(subject.numbers).toBeUndefined();
  });

  it('refunds the cost of the receipt, right after the hit in full', () => {
    const subject = subjectOf();
    subject.hit(3, T);
    const taken = subject.take(5, T + 50);
    expect(taken.window).toBe(T + 50);
    subject.settle(taken, 0, T + 50);

    expect(subject.numbers).toEqual([2500, T + 50, 10]);
  });

  it('refunds later no token that may have been refilled since the hit', () => {
    const subject = subjectOf();
    const first = subject.take(3, T);
    const second = subject.take(5, T);

    const early = subject.copy();
    early.settle(first, 0, T + 100);
    expect(early.numbers).toEqual([8000 - 1000 - 2000, T + 100, 10]);
    const late = subject.copy();
    late.settle(first, 0, T + 300);
    expect(late.numbers).toEqual([8000 - 3000, T + 300, 10]);

    subject.settle(second, 1, T + 200);
    expect(subject.numbers).toEqual([8000 - 2000 - 2000, T + 200, 10]);
  });

  it('takes more now, and is in debt above the capacity', () => {
    const subject = subjectOf();
    const taken = subject.take(6, T);
    const more = subject.settle(taken, 18, T + 100);

    expect(more).toEqual({ at: T, window: T, cost: 18 });
    expect(subject.numbers).toEqual([6000 - 1000 + 12_000, T + 100, 10]);
    expect(subject.evaluate(1, T + 100)).toEqual({
      allowed: false,
      remaining: 0,
      resetTime: T + 900,
      retryAfter: 800,
    });
    expect(subject.evaluate(10, T + 100).retryAfter).toBe(1700);
    subject.settle(more, 6, T + 100);
    expect(subject.numbers).toEqual([6000, T + 100, 10]);
  });

  it('charges a hit that has reserved nothing, also once everything has been refilled', () => {
    const subject = subjectOf();
    subject.settle({ at: T, window: undefined, cost: 0 }, 4, T + 5000);
    expect(subject.numbers).toEqual([4000, T + 5000, 10]);
  });

  it('has a level of at most 2^53 − 1, however much it is charged', () => {
    const period = 31_104_000_000;
    const most = Math.floor(Number.MAX_SAFE_INTEGER / period);
    const subject = new Subject('token-bucket', { amount: 1, period, burst: most });
    subject.take(most, T);
    subject.settle({ at: T, window: undefined, cost: 0 }, most, T);

    expect(subject.numbers).toEqual([Number.MAX_SAFE_INTEGER, T, 1]);
    expect(subject.evaluate(1, T)).toMatchObject({ remaining: 0, allowed: false });
  });

  it('refills at the smaller of two amounts that share it, and refunds no more than the larger left', () => {
    const slow = subjectOf().withQuota({ amount: 5, period: 1000, burst: 10 });
    const taken = slow.take(4, T);
    const fast = slow.withQuota({ amount: 10, period: 1000, burst: 10 });
    expect(fast.remaining(T + 200)).toBe(7);

    fast.settle(taken, 0, T + 200);
    expect(fast.numbers).toEqual([4000 - 1000 - 2000, T + 200, 5]);
    fast.hit(1, T + 200);
    expect(fast.remaining(T + 300)).toBe(9);
  });

  it('drops the amount of its last hit once it is full, also when a settlement charges it then', () => {
    const slow = subjectOf().withQuota({ amount: 5, period: 1000, burst: 10 });
    const taken = slow.take(1, T);
    const fast = slow.withQuota({ amount: 10, period: 1000, burst: 10 });
    fast.settle(taken, 3, T + 200);
    expect(fast.numbers).toEqual([2000, T + 200, 10]);
  });

  it('refunds nothing of a hit that has been refilled, however full the bucket is by then', () => {
    const subject = subjectOf();
    const old = subject.take(5, T);
    subject.hit(8, T + 500);
    subject.settle(old, 0, T + 600);

    expect(subject.remaining(T + 600)).toBe(3);
  });

  it('refunds nothing of a hit made before the bucket was last full, whatever was refunded since', () => {
    const subject = subjectOf();
    const first = subject.take(5, T);
    const second = subject.take(5, T);
    subject.settle(first, 0, T);
    subject.take(5, T + 500);
    expect(subject.numbers).toEqual([5000, T + 500, 10]);

    subject.settle(second, 0, T + 500);
    expect(subject.numbers).toEqual([5000, T + 500, 10]);
  });

  it('refunds no token of a hit that another hit took after an earlier refund', () => {
    const subject = subjectOf();
    const first = subject.take(5, T);
    const second = subject.take(5, T);
    subject.settle(first, 0, T);
    subject.take(5, T + 300);
    expect(subject.remaining(T + 300)).toBe(3);

    subject.settle(second, 0, T + 300);
    expect(subject.remaining(T + 300)).toBe(5);
  });

  it('refunds by hand, and is full at most', () => {
    const subject = subjectOf();
    subject.hit(8, T);
    subject.refundByHand(3, T + 50);
    expect(subject.numbers).toEqual([4500, T + 50, 10]);
    subject.refundByHand(100, T + 50);
    expect(subject.numbers).toBeUndefined();
  });

  it('expires when it is full again', () => {
    const subject = new Subject('token-bucket', { amount: 3, period: 1000, burst: 9 });
    subject.hit(4, T);

    expect(subject.expiresAt).toBe(T + 1334);
  });
});
