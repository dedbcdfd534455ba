import { describe, expect, it } from '@jest/globals';
import { Subject } from '../../support/strategies.js';

const T = 1_700_000_000_000;
const subjectOf = (amount = 3): Subject =>
  new Subject('fixed-window-elastic-expiry', { amount, period: 1000, burst: amount });

describe('A fixed window with elastic expiry', () => {
  it('ends a period after the last hit', () => {
    const subject = subjectOf();
    subject.hit(1, T);
    subject.hit(1, T + 600);

    expect(subject.numbers).toEqual([2, T, T + 1600]);
    expect(subject.evaluate(1, T + 1599)).toEqual({
      allowed: true,
      remaining: 1,
      resetTime: T + 1600,
      retryAfter: 0,
    });
    expect(subject.evaluate(1, T + 1600)).toEqual({
      allowed: true,
      remaining: 3,
      resetTime: T + 1600,
      retryAfter: 0,
    });
  });

  it('is extended by a refused hit, even of a cost above the capacity', () => {
    const subject = subjectOf();
    subject.hit(3, T);

    expect(subject.hit(1, T + 900)).toBeUndefined();
    expect(subject.numbers).toEqual([3, T, T + 1900]);
    expect(subject.hit(100, T + 1800)).toBeUndefined();
    expect(subject.numbers).toEqual([3, T, T + 2800]);
    expect(subject.evaluate(1, T + 2799)).toMatchObject({ allowed: false, retryAfter: 1 });
    expect(subject.evaluate(1, T + 2800)).toMatchObject({ allowed: true, remaining: 3 });
  });

  it('is neither opened nor extended by a cost of 0, nor opened by a refused hit', () => {
    const subject = subjectOf();
    subject.hit(4, T);
    expect(subject.numbers).toBeUndefined();

    subject.hit(1, T);
    subject.hit(0, T + 500);
    expect(subject.numbers).toEqual([1, T, T + 1000]);
  });

  it('is not reopened by a refused hit at its end', () => {
    const subject = subjectOf();
    subject.hit(3, T);
    subject.refuse(T + 1000);

    expect(subject.numbers).toEqual([3, T, T + 1000]);
    expect(subject.remaining(T + 1000)).toBe(3);
  });

  it('opens again exactly at its end', () => {
    const subject = subjectOf();
    subject.hit(3, T);
    subject.hit(1, T + 1000);

    expect(subject.numbers).toEqual([1, T + 1000, T + 2000]);
  });

  it('never takes more than the amount without a pause of a period', () => {
    const subject = subjectOf();
    const taken = Array.from({ length: 100 }, (_, index) => subject.hit(1, T + index * 999));

    expect(taken.filter((each) => each !== undefined)).toHaveLength(3);
  });

  it('follows a clock that goes back', () => {
    const subject = subjectOf();
    subject.hit(3, T);
    const back = T - 50_000;

    expect(subject.evaluate(1, back)).toMatchObject({ resetTime: back + 1000, retryAfter: 1000 });
    subject.hit(1, back);
    expect(subject.numbers).toEqual([3, T, back + 1000]);
  });

  it('refunds to the window of the receipt, and does not move its end back', () => {
    const subject = subjectOf();
    const first = subject.take(1, T);
    const second = subject.take(2, T + 500);

    expect([first.window, second.window]).toEqual([T, T]);
    subject.settle(second, 0, T + 600);
    expect(subject.numbers).toEqual([1, T, T + 1500]);
    subject.settle(first, 0, T + 600);
    expect(subject.numbers).toBeUndefined();
  });

  it('charges more to the window of the receipt, and does not move its end', () => {
    const subject = subjectOf();
    const first = subject.take(1, T);
    subject.hit(1, T + 500);
    subject.settle(first, 5, T + 600);

    expect(subject.numbers).toEqual([6, T, T + 1500]);
    expect(subject.evaluate(1, T + 600)).toMatchObject({ remaining: 0, retryAfter: 900 });
  });

  it('charges more to the open window if that of the hit became empty before its end', () => {
    const subject = subjectOf();
    const empty = subject.settle(subject.take(2, T), 0, T + 100);
    const again = subject.settle(empty, 3, T + 400);
    expect(again.window).toBe(T + 400);
    expect(subject.numbers).toEqual([3, T + 400, T + 1400]);

    const late = subjectOf();
    late.settle(late.settle(late.take(2, T), 0, T + 100), 3, T + 1000);
    expect(late.numbers).toBeUndefined();
  });

  it('extends its window for a charged hit that had reserved nothing, to a period after that hit', () => {
    const subject = subjectOf();
    subject.hit(1, T);
    const charged = subject.settle({ at: T + 300, window: undefined, cost: 0 }, 1, T + 400);
    expect(charged.window).toBe(T);
    expect(subject.numbers).toEqual([2, T, T + 1300]);
    subject.settle(charged, 0, T + 1200);
    expect(subject.numbers).toEqual([1, T, T + 1300]);
  });

  it('charges a hit that had reserved nothing, even a period later, to a window of its own', () => {
    const subject = subjectOf();
    expect(subject.settle({ at: T, window: undefined, cost: 0 }, 2, T + 1500).window).toBe(T + 1500);
    expect(subject.numbers).toEqual([2, T + 1500, T + 2500]);
  });

  it('does not move its end for a hit that had reserved nothing and costs nothing', () => {
    const subject = subjectOf();
    subject.hit(1, T);
    const free = { at: T + 500, window: undefined, cost: 0 };
    expect(subject.settle(free, 0, T + 600).window).toBeUndefined();
    expect(subject.numbers).toEqual([1, T, T + 1000]);
  });

  it('leaves a later window alone when a hit of one that became empty is settled again to nothing', () => {
    const subject = subjectOf();
    const old = subject.take(2, T);
    subject.settle(old, 0, T + 100);
    subject.hit(1, T + 200);

    expect(subject.settle(old, 0, T + 400).window).toBe(T);
    expect(subject.numbers).toEqual([1, T + 200, T + 1200]);
    expect(subject.settle(old, 5, T + 400).window).toBe(T + 200);
    expect(subject.numbers).toEqual([4, T + 200, T + 1200]);
  });

  it('refunds nothing to a later window', () => {
    const subject = subjectOf();
    const old = subject.take(2, T);
    subject.hit(3, T + 1000);
    subject.settle(old, 0, T + 1001);

    expect(subject.numbers).toEqual([3, T + 1000, T + 2000]);
  });

  it('refunds by hand, at most its count', () => {
    const subject = subjectOf();
    subject.hit(3, T);
    subject.refundByHand(1, T + 10);
    expect(subject.numbers).toEqual([2, T, T + 1000]);
    subject.refundByHand(5, T + 10);
    expect(subject.numbers).toBeUndefined();
  });

  it('expires at its end', () => {
    const subject = subjectOf();
    subject.hit(1, T);
    subject.hit(1, T + 10);

    expect(subject.expiresAt).toBe(T + 1010);
  });
});
