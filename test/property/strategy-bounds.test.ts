import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { StrategyName } from '../../lib/strategies/strategy.js';
import { play, RUNS, scenarios, Subject } from '../support/strategies.js';
import { mostAboveRefill, mostWithin, windowsOf, type Attempt } from '../support/strategy-model.js';

/** Returns the hits of a timeline that a strategy takes. */
function taken(subject: Subject, steps: Parameters<typeof play>[1]): Attempt[] {
  const history: Attempt[] = [];
  play(subject, steps, (taking) => {
    if (taking !== undefined) history.push({ ...taking, taken: true });
  });
  return history;
}

function describeBound(
  name: StrategyName,
  bound: string,
  check: (history: readonly Attempt[], quota: Subject['quota']) => void,
): void {
  it(`${name} takes ${bound}`, () => {
    fc.assert(
      fc.property(scenarios(name, { maxSteps: 40 }), ({ quota, steps }) => {
        check(taken(new Subject(name, quota), steps), quota);
      }),
      RUNS,
    );
  });
}

describe('Whatever the timeline,', () => {
  describeBound('fixed-window', 'at most the amount in one window', (history, { amount, period }) => {
    expect(largest(windowsOf(history, period))).toBeLessThanOrEqual(amount);
  });

  describeBound(
    'fixed-window',
    'at most twice the amount in any span of a period',
    (history, { amount, period }) => {
      expect(mostWithin(history, period)).toBeLessThanOrEqual(2 * amount);
    },
  );

  describeBound(
    'fixed-window-elastic-expiry',
    'at most the amount in any span of a period',
    (history, { amount, period }) => {
      expect(mostWithin(history, period)).toBeLessThanOrEqual(amount);
    },
  );

  describeBound(
    'moving-window',
    'at most the amount in any span of a period',
    (history, { amount, period }) => {
      expect(mostWithin(history, period)).toBeLessThanOrEqual(amount);
    },
  );

  describeBound(
    'sliding-window-counter',
    'at most the amount in one window',
    (history, { amount, period }) => {
      expect(largest(adjoiningWindowsOf(history, period))).toBeLessThanOrEqual(amount);
    },
  );

  describeBound(
    'sliding-window-counter',
    'at most twice the amount in any span of a period',
    (history, { amount, period }) => {
      expect(mostWithin(history, period)).toBeLessThanOrEqual(2 * amount);
    },
  );

  describeBound(
    'token-bucket',
    'at most the burst and what is refilled meanwhile in any span',
    (history, quota) => {
      expect(mostAboveRefill(history, quota)).toBeLessThanOrEqual(quota.burst * quota.period);
    },
  );
});

describe('The bound of two windows is reached, except for the first hit of the window:', () => {
  it.each(['fixed-window', 'sliding-window-counter'] as const)('%s', (name) => {
    const subject = new Subject(name, { amount: 10, period: 100, burst: 10 });
    const onEachMs = Array.from({ length: 99 }, () => ({ wait: 1, cost: 1 }));

    const history = taken(subject, [{ wait: 0, cost: 1 }, { wait: 99, cost: 9 }, ...onEachMs]);

    expect(mostWithin(history, 100)).toBe(19);
  });
});

function largest(windows: readonly { count: number }[]): number {
  return Math.max(0, ...windows.map(({ count }) => count));
}

/**
 * Returns windows that follow each other without a gap while each has hits, as in the sliding
 * window counter.
 */
function adjoiningWindowsOf(history: readonly Attempt[], period: number): { start: number; count: number }[] {
  const windows: { start: number; count: number }[] = [];
  for (const { at, cost } of history) {
    const last = windows.at(-1);
    if (last !== undefined && at < last.start + period) last.count += cost;
    else if (last !== undefined && at < last.start + 2 * period)
      windows.push({ start: last.start + period, count: cost });
    else windows.push({ start: at, count: cost });
  }
  return windows;
}
