import { types } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { movingWindow, type MovingWindowState } from '../../lib/strategies/moving-window.strategy.js';

/** Counts reads and writes of a state's log. */
class Work {
  done = 0;

  /**
   * Returns the state with a counting log. A log that is full is replaced: watch the state again
   * after each hit.
   */
  watch(state: MovingWindowState): MovingWindowState {
    state.log = this.#watched(state.log);
    return state;
  }

  of(work: () => void): number {
    const before = this.done;
    work();
    return this.done - before;
  }

  #watched(log: number[]): number[] {
    if (types.isProxy(log)) return log;
    return new Proxy(log, {
      get: (array, key) => {
        this.done++;
        return Reflect.get(array, key) as unknown;
      },
      set: (array, key, value) => {
        this.done++;
        return Reflect.set(array, key, value);
      },
    });
  }
}

const quotaOf = (size: number) => ({ amount: size, burst: size, period: size });

/** Returns a full log: one hit per ms for each unit. */
function fullLog(size: number): MovingWindowState {
  const numbers = Array.from({ length: size }, (_, index) => [index, 1]).flat();
  return movingWindow.decode(numbers);
}

describe('The work of a moving window', () => {
  const sizes = [10, 100, 1000, 10_000];
  /**
   * Maximum reads: eight binary searches, each step with two reads and a comparison with the
   * length.
   */
  const allowance = (size: number): number => 16 * Math.ceil(Math.log2(size)) + 32;

  it.each(sizes)('grows with the logarithm of a log of %i entries for a peek', (size) => {
    const quota = quotaOf(size);
    const work = new Work();
    const state = work.watch(fullLog(size));
    const now = size - 1;

    expect(movingWindow.remaining(state, quota, now)).toBe(0);
    expect(work.of(() => movingWindow.remaining(state, quota, now))).toBeLessThan(allowance(size));
    expect(work.of(() => movingWindow.resetTime(state, quota, now))).toBeLessThan(allowance(size));
    expect(work.of(() => movingWindow.wait(state, quota, size, now))).toBeLessThan(allowance(size));
    expect(work.of(() => movingWindow.refuse(state, quota, now))).toBeLessThan(allowance(size));
    expect(work.of(() => movingWindow.expiresAt(state, quota))).toBeLessThan(allowance(size));
  });

  it.each(sizes)('grows with the logarithm of a log of %i entries on average for a hit', (size) => {
    const quota = quotaOf(size);
    const work = new Work();
    let state = work.watch(fullLog(size));
    const hits = 3 * size;

    const total = work.of(() => {
      for (let now = size; now < size + hits; now++)
        state = work.watch(movingWindow.commit(state, quota, 1, now));
    });

    expect(movingWindow.remaining(state, quota, size + hits - 1)).toBe(0);
    expect(total / hits).toBeLessThan(allowance(size));
  });

  it('does not depend on the cost: a large cost is a single entry', () => {
    const quota = quotaOf(1_000_000);

    const state = movingWindow.commit(undefined, quota, 1_000_000, 0);

    expect(movingWindow.encode(state)).toEqual([0, 1_000_000]);
  });

  it('keeps the log at most twice as long as the entries that count, and a few more', () => {
    const quota = quotaOf(100);
    let state = fullLog(100);
    let longest = 0;
    for (let now = 100; now < 10_000; now++) {
      state = movingWindow.commit(state, quota, 1, now);
      longest = Math.max(longest, state.log.length / 2);
    }

    expect(longest).toBeLessThanOrEqual(232);
    expect(movingWindow.encode(state)).toHaveLength(200);
  });
});
