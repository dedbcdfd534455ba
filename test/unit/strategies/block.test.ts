import { describe, expect, it } from '@jest/globals';
import { block } from '../../../lib/strategies/block.js';

const T = 1_700_000_000_000;
const DURATIONS = [1000, 10_000, 60_000];

describe('A block', () => {
  it('lasts until the last ms before its end', () => {
    const state = block.commit(undefined, [1000], T);

    expect(state).toEqual({ until: T + 1000, level: 0 });
    expect(block.blockedUntil(state, [1000], T)).toBe(T + 1000);
    expect(block.blockedUntil(state, [1000], T + 999)).toBe(T + 1000);
    expect(block.blockedUntil(state, [1000], T + 1000)).toBe(T + 1000);
    expect(block.blockedUntil(state, [1000], T + 5000)).toBe(T + 5000);
  });

  it('is not there without a state', () => {
    expect(block.blockedUntil(undefined, DURATIONS, T)).toBe(T);
  });

  it('lasts longer each time, and at most as long as the last duration', () => {
    const first = block.commit(undefined, DURATIONS, T);
    const second = block.commit(first, DURATIONS, T + 1000);
    const third = block.commit(second, DURATIONS, T + 11_000);
    const fourth = block.commit(third, DURATIONS, T + 71_000);

    expect([first, second, third, fourth]).toEqual([
      { until: T + 1000, level: 0 },
      { until: T + 11_000, level: 1 },
      { until: T + 71_000, level: 2 },
      { until: T + 131_000, level: 2 },
    ]);
  });

  it('falls back to the first duration once the longest has passed without a block', () => {
    const second = { until: T, level: 1 };

    expect(block.commit(second, DURATIONS, T + 59_999)).toEqual({ until: T + 119_999, level: 2 });
    expect(block.commit(second, DURATIONS, T + 60_000)).toEqual({ until: T + 61_000, level: 0 });
    expect(block.expiresAt(second, DURATIONS)).toBe(T + 60_000);
  });

  it('counts the longest duration as such, wherever it stands', () => {
    const durations = [60_000, 1000];
    const first = block.commit(undefined, durations, T);

    expect(block.commit(first, durations, T + 60_000)).toEqual({ until: T + 61_000, level: 1 });
    expect(block.expiresAt(first, durations)).toBe(T + 120_000);
  });

  it('lasts the longest duration from now at most when the clock has gone back', () => {
    const state = block.commit(undefined, DURATIONS, T);

    expect(block.blockedUntil(state, DURATIONS, T - 30_000)).toBe(T + 1000);
    expect(block.blockedUntil(state, DURATIONS, T - 500_000)).toBe(T - 440_000);
  });

  it('from the future is shortened in place to the longest duration, any other is left as it is', () => {
    const future = { until: T + 60_001, level: 1 };
    expect(block.shorten(future, DURATIONS, T)).toBe(true);
    expect(future).toEqual({ until: T + 60_000, level: 1 });
    expect(block.shorten(future, DURATIONS, T)).toBe(false);
    expect(future).toEqual({ until: T + 60_000, level: 1 });
  });

  it('made by hand ends after its time, and the next refusal takes the second duration', () => {
    const state = block.byHand(500, T);
    expect(state).toEqual({ until: T + 500, level: 0 });
    expect(block.commit(state, DURATIONS, T + 500)).toEqual({
      until: T + 500 + (DURATIONS[1] ?? NaN),
      level: 1,
    });
  });

  it('keeps its level within the durations when there are fewer of them than before', () => {
    expect(block.commit({ until: T, level: 2 }, [1000], T)).toEqual({ until: T + 1000, level: 0 });
  });

  it('is stored as two whole numbers and loaded again', () => {
    const state = { until: T + 1000, level: 2 };

    expect(block.encode(state)).toEqual([T + 1000, 2]);
    expect(block.decode(block.encode(state))).toEqual(state);
  });
});
