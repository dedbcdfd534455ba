import { describe, expect, it } from '@jest/globals';
import { loadTemporal } from 'nestjs-limits';
import { calendarFor } from '../../../lib/strategies/calendars.js';
import { Subject } from '../../support/strategies.js';

const T = 1_700_000_000_000;
const subjectOf = (amount = 3): Subject =>
  new Subject('fixed-window', { amount, period: 1000, burst: amount });

describe('A fixed window', () => {
  it('opens at the first counted hit', () => {
    const subject = subjectOf();
    subject.hit(1, T + 123);

    expect(subject.numbers).toEqual([1, T + 1123]);
    expect(subject.evaluate(1, T + 200)).toEqual({
      allowed: true,
      remaining: 2,
      resetTime: T + 1123,
      retryAfter: 0,
    });
  });

  it('is not opened by a hit that is refused or costs nothing', () => {
    const subject = subjectOf();
    subject.hit(4, T);
    subject.hit(0, T);

    expect(subject.numbers).toBeUndefined();
    expect(subject.evaluate(1, T)).toEqual({ allowed: true, remaining: 3, resetTime: T, retryAfter: 0 });
  });

  it('is not extended by later hits', () => {
    const subject = subjectOf();
    subject.hit(1, T);
    subject.hit(1, T + 999);

    expect(subject.numbers).toEqual([2, T + 1000]);
  });

  it('refuses until the last ms before its end, and opens the next exactly at its end', () => {
    const subject = subjectOf();
    subject.hit(3, T);

    expect(subject.evaluate(1, T + 999)).toEqual({
      allowed: false,
      remaining: 0,
      resetTime: T + 1000,
      retryAfter: 1,
    });
    expect(subject.evaluate(3, T + 1000)).toEqual({
      allowed: true,
      remaining: 3,
      resetTime: T + 1000,
      retryAfter: 0,
    });
    subject.hit(1, T + 1000);
    expect(subject.numbers).toEqual([1, T + 2000]);
  });

  it('makes a cost wait for its end, whatever remains', () => {
    const subject = subjectOf();
    subject.hit(1, T);

    expect(subject.evaluate(3, T + 400)).toEqual({
      allowed: false,
      remaining: 2,
      resetTime: T + 1000,
      retryAfter: 600,
    });
    expect(subject.evaluate(4, T + 400).retryAfter).toBe(Infinity);
  });

  it('may take twice the amount across its end', () => {
    const subject = subjectOf();

    expect(subject.hit(1, T)).toBeDefined();
    expect(subject.hit(2, T + 999)).toBeDefined();
    expect(subject.hit(3, T + 1000)).toBeDefined();
  });

  it('keeps what was consumed when the amount changes', () => {
    const subject = subjectOf();
    subject.hit(3, T);

    expect(subject.withQuota({ amount: 10, period: 1000, burst: 10 }).remaining(T)).toBe(7);
    expect(subject.withQuota({ amount: 2, period: 1000, burst: 2 }).remaining(T)).toBe(0);
    expect(subject.withQuota({ amount: 0, period: 1000, burst: 0 }).evaluate(1, T)).toMatchObject({
      remaining: 0,
      retryAfter: Infinity,
    });
  });

  it('ends at most one period from now after the clock went back', () => {
    const subject = subjectOf();
    subject.hit(3, T);
    const back = T - 50_000;

    expect(subject.evaluate(1, back)).toEqual({
      allowed: false,
      remaining: 0,
      resetTime: back + 1000,
      retryAfter: 1000,
    });
    subject.hit(1, back);
    expect(subject.numbers).toEqual([3, back + 1000]);
    expect(subject.evaluate(1, back + 1000)).toMatchObject({ allowed: true, remaining: 3 });
  });

  it('keeps its end when the clock goes back a little within it', () => {
    const subject = subjectOf();
    subject.hit(1, T);
    subject.hit(1, T + 500);
    subject.hit(1, T + 100);

    expect(subject.numbers).toEqual([3, T + 1000]);
  });

  it('refunds to the window of the receipt', () => {
    const subject = subjectOf();
    const first = subject.take(1, T);
    const second = subject.take(2, T + 500);

    expect([first.window, second.window]).toEqual([T + 1000, T + 1000]);
    subject.settle(second, 0, T + 999);
    expect(subject.numbers).toEqual([1, T + 1000]);
    subject.settle(first, 0, T + 999);
    expect(subject.numbers).toBeUndefined();
  });

  it('refunds nothing once that window has ended, nor to the next', () => {
    const subject = subjectOf();
    const old = subject.take(2, T);
    subject.settle(old, 0, T + 1000);
    expect(subject.numbers).toEqual([2, T + 1000]);

    subject.hit(3, T + 1500);
    subject.settle(old, 0, T + 1600);
    expect(subject.numbers).toEqual([3, T + 2500]);
  });

  it('charges more to the window of the receipt, even above the amount', () => {
    const subject = subjectOf();
    const taken = subject.take(1, T);
    const settled = subject.settle(taken, 5, T + 400);

    expect(settled).toEqual({ at: T, window: T + 1000, cost: 5 });
    expect(subject.numbers).toEqual([5, T + 1000]);
    expect(subject.evaluate(1, T + 400)).toEqual({
      allowed: false,
      remaining: 0,
      resetTime: T + 1000,
      retryAfter: 600,
    });
    subject.settle(settled, 2, T + 500);
    expect(subject.remaining(T + 500)).toBe(1);
  });

  it('charges nothing once that window has ended, with or without another open one', () => {
    const subject = subjectOf();
    const old = subject.take(1, T);
    subject.settle(old, 3, T + 1000);
    expect(subject.remaining(T + 1000)).toBe(3);
    subject.hit(1, T + 1500);
    subject.settle(old, 3, T + 1600);
    expect(subject.numbers).toEqual([1, T + 2500]);
  });

  it('charges a hit that has reserved nothing to the open window, and opens one if there is none', () => {
    const subject = subjectOf();
    const opened = subject.settle({ at: T, window: undefined, cost: 0 }, 2, T + 300);
    expect(opened.window).toBe(T + 1300);
    const joined = subject.settle({ at: T, window: undefined, cost: 0 }, 1, T + 400);
    expect(joined.window).toBe(T + 1300);
    expect(subject.numbers).toEqual([3, T + 1300]);
  });

  it('charges more to the open window if that of the hit became empty before its end', () => {
    const subject = subjectOf();
    const empty = subject.settle(subject.take(2, T), 0, T + 100);
    expect(empty.window).toBe(T + 1000);
    subject.hit(1, T + 200);
    const again = subject.settle(empty, 2, T + 400);

    expect(again.window).toBe(T + 1200);
    expect(subject.numbers).toEqual([3, T + 1200]);
  });

  it('leaves a later window alone when a hit of one that became empty is settled again to nothing', () => {
    const subject = subjectOf();
    const old = subject.take(2, T);
    subject.settle(old, 0, T + 100);
    subject.hit(3, T + 200);

    expect(subject.settle(old, 0, T + 400).window).toBe(T + 1000);
    expect(subject.settle({ at: T, window: undefined, cost: 0 }, 0, T + 400).window).toBeUndefined();
    expect(subject.numbers).toEqual([3, T + 1200]);
  });

  it('charges the difference of both costs to the open window', () => {
    const subject = subjectOf();
    const old = subject.take(2, T);
    subject.settle(old, 0, T + 100);
    subject.hit(1, T + 200);

    expect(subject.settle(old, 5, T + 400)).toEqual({ at: T, window: T + 1200, cost: 5 });
    expect(subject.numbers).toEqual([4, T + 1200]);
  });

  it('refunds by hand to the open window, and removes it when it is empty', () => {
    const subject = subjectOf();
    subject.hit(3, T);

    subject.refundByHand(1, T + 10);
    expect(subject.numbers).toEqual([2, T + 1000]);
    subject.refundByHand(7, T + 10);
    expect(subject.numbers).toBeUndefined();
    expect(subject.remaining(T + 10)).toBe(3);
  });

  it('ends with the window of a calendar, if it has one', async () => {
    await loadTemporal();
    const calendar = calendarFor({ unit: 'month', timeZone: 'Asia/Kathmandu' });
    const subject = new Subject('calendar-window', { amount: 3, period: 2_592_000_000, burst: 3, calendar });
    const [start, end] = ['2026-02-28T18:15Z', '2026-03-31T18:15Z'].map((time) => Date.parse(time));
    subject.hit(2, Date.parse('2026-03-10T12:00Z'));

    expect(subject.numbers).toEqual([2, end]);
    expect(subject.evaluate(2, (end as number) - 1)).toEqual({
      allowed: false,
      remaining: 1,
      resetTime: end,
      retryAfter: 1,
    });
    expect(subject.remaining(end as number)).toBe(3);
    subject.refuse((start as number) - 1);
    expect(subject.numbers).toEqual([2, start]);
  });

  it('expires at its end', () => {
    const subject = subjectOf();
    subject.hit(1, T);

    expect(subject.expiresAt).toBe(T + 1000);
  });
});
