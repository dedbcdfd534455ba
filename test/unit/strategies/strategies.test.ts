import { describe, expect, it } from '@jest/globals';
import { block } from '../../../lib/strategies/block.js';
import {
  isStrategyName,
  rateStrategyNames,
  strategies,
  strategyNames,
} from '../../../lib/strategies/strategies.js';
import type { Quota } from '../../../lib/strategies/strategy.js';
import { Subject } from '../../support/strategies.js';

const T = 1_700_000_000_000;
const NOTHING: Quota = { amount: 0, period: 1000, burst: 0 };

describe('The strategies', () => {
  it('are seven, by name, and all but one count rates', () => {
    expect(strategyNames).toEqual([
      'fixed-window',
      'fixed-window-elastic-expiry',
      'calendar-window',
      'moving-window',
      'sliding-window-counter',
      'token-bucket',
      'concurrency',
    ]);
    expect(rateStrategyNames).toEqual(strategyNames.slice(0, 6));
    expect(Object.keys(strategies)).toEqual(strategyNames);
  });

  it.each(['', 'leaky-bucket', 'toString', 'constructor', '__proto__', 'Fixed-Window', undefined, null, 1])(
    'do not include %p',
    (name) => {
      expect(isStrategyName(name)).toBe(false);
    },
  );

  it.each(strategyNames)('include %s', (name) => {
    expect(isStrategyName(name)).toBe(true);
  });
});

describe.each(strategyNames)('%s', (name) => {
  it('refuses everything except a cost of 0 at an amount of 0', () => {
    const subject = new Subject(name, NOTHING);

    expect(subject.evaluate(0, T)).toEqual({ allowed: true, remaining: 0, resetTime: T, retryAfter: 0 });
    expect(subject.evaluate(1, T)).toEqual({
      allowed: false,
      remaining: 0,
      resetTime: T,
      retryAfter: Infinity,
    });
  });

  it('reports nothing consumed without a state, at any time', () => {
    const subject = new Subject(name, { amount: 5, period: 1000, burst: 5 });

    for (const now of [0, T, Number.MAX_SAFE_INTEGER]) {
      expect(subject.evaluate(5, now)).toEqual({
        allowed: true,
        remaining: 5,
        resetTime: now,
        retryAfter: 0,
      });
    }
  });

  it('allows a cost of 0 when nothing is left', () => {
    const subject = new Subject(name, { amount: 5, period: 1000, burst: 5 });
    subject.hit(5, T);

    expect(subject.evaluate(0, T)).toMatchObject({ allowed: true, remaining: 0, retryAfter: 0 });
  });

  it('stays empty when units are returned to it, or a hit that reserved nothing is settled to nothing', () => {
    const subject = new Subject(name, { amount: 5, period: 1000, burst: 5 });
    subject.refundByHand(3, T);
    subject.settle({ at: T, window: undefined, cost: 0 }, 0, T + 10);

    expect([subject.numbers, subject.remaining(T + 10)]).toEqual([undefined, 5]);
  });

  it('settles a state that still counts in place, since identities may share it', () => {
    const strategy = strategies[name];
    const quota = { amount: 5, period: 1000, burst: 5 };
    const state = strategy.commit(undefined, quota, 3, T);
    const of = { at: T, window: strategy.window(state) };
    for (const [cost, actual, left] of [
      [3, 1, 4],
      [1, 4, 1],
    ] as const) {
      expect(strategy.settle(state, quota, { cost, actual, of }, T).state).toBe(state);
      expect(strategy.remaining(state, quota, T)).toBe(left);
    }
  });

  it('works with periods of one ms and of 360 days', () => {
    for (const period of [1, 31_104_000_000]) {
      const subject = new Subject(name, { amount: 1, period, burst: 1 });
      subject.hit(1, T);
      const { allowed, retryAfter } = subject.evaluate(1, T);

      const left = name === 'sliding-window-counter' ? period + 1 : period;
      expect([allowed, retryAfter]).toEqual([false, name === 'concurrency' ? NaN : left]);
      expect([subject.remaining(T + left - 1), subject.remaining(T + left)]).toEqual([0, 1]);
    }
  });
});

describe('A text without its numbers', () => {
  it.each(strategyNames)('means that nothing is consumed, for %s', (name) => {
    const strategy = strategies[name];
    const quota = { amount: 5, period: 1000, burst: 5 };
    const lost = strategy.decode([]);
    expect(strategy.remaining(lost, quota, T)).toBe(5);
    expect(strategy.resetTime(lost, quota, T)).toBe(T);
    expect(strategy.expiresAt(lost, quota)).toBeLessThanOrEqual(T);
    expect(strategy.commit(lost, quota, 2, T)).toEqual(strategy.commit(undefined, quota, 2, T));
  });

  it('is no block', () => {
    const lost = block.decode([]);
    const rule = { amount: 5, block: [1000, 5000], blockAfter: 1, period: 1000 };
    expect(block.blockedUntil(lost, rule, T)).toBe(T);
    expect(block.pending(lost, rule, T)).toBe(0);
    expect(block.commit(lost, rule, T)).toEqual(block.commit(undefined, rule, T));
  });
});
