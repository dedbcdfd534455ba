import { describe, expect, it } from '@jest/globals';
import { FailureWindow } from '../../../lib/resilience/failure-window.js';

describe('Failures are too many', () => {
  it('when the threshold is reached within the window, even with successes between them', () => {
    const failures = new FailureWindow(3, 1000);
    const found = [0, 400, 1000].map((time) => {
      failures.succeed();
      return failures.add(time);
    });
    expect(found).toEqual([false, false, true]);
  });

  it('but not while the oldest of them is outside the window', () => {
    const failures = new FailureWindow(3, 1000);
    const found = [0, 400, 1001, 1400, 1401, 3000].map((time) => {
      failures.succeed();
      return failures.add(time);
    });
    expect(found).toEqual([false, false, false, true, true, false]);
  });

  it('when the threshold is reached in a row, however far apart', () => {
    const failures = new FailureWindow(3, 1000);
    expect([0, 60_000, 120_000].map((time) => failures.add(time))).toEqual([false, false, true]);
  });

  it('but not in a row that a success has ended', () => {
    const failures = new FailureWindow(3, 1000);
    expect([0, 60_000].map((time) => failures.add(time))).toEqual([false, false]);
    failures.succeed();
    expect([120_000, 180_000, 240_000].map((time) => failures.add(time))).toEqual([false, false, true]);
  });

  it('at the first if the threshold is one', () => {
    expect(new FailureWindow(1, 1000).add(0)).toBe(true);
  });

  it('only with new ones after they were cleared', () => {
    const failures = new FailureWindow(2, 1000);
    expect([failures.add(0), failures.add(1)]).toEqual([false, true]);
    failures.clear();
    expect([failures.add(2), failures.add(3)]).toEqual([false, true]);
  });
});
