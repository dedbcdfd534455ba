import { describe, expect, it } from '@jest/globals';
import { FailureWindow } from '../../../lib/resilience/failure-window.js';

describe('Failures are too many', () => {
  it('once there are as many as the threshold within the window, successes between them or not', () => {
    const failures = new FailureWindow(3, 1000);
    const found = [0, 400, 1000].map((time) => {
      failures.succeed();
      return failures.add(time);
    });
    expect(found).toEqual([false, false, true]);
  });

  it('not while the oldest of as many is out of the window', () => {
    const failures = new FailureWindow(3, 1000);
    const found = [0, 400, 1001, 1400, 1401, 3000].map((time) => {
      failures.succeed();
      return failures.add(time);
    });
    expect(found).toEqual([false, false, false, true, true, false]);
  });

  it('once there are as many in a row, however far apart', () => {
    const failures = new FailureWindow(3, 1000);
    expect([0, 60_000, 120_000].map((time) => failures.add(time))).toEqual([false, false, true]);
  });

  it('not in a row that a success has ended', () => {
    const failures = new FailureWindow(3, 1000);
    expect([0, 60_000].map((time) => failures.add(time))).toEqual([false, false]);
    failures.succeed();
    expect([120_000, 180_000, 240_000].map((time) => failures.add(time))).toEqual([false, false, true]);
  });

  it('at the first, where the threshold is one', () => {
    expect(new FailureWindow(1, 1000).add(0)).toBe(true);
  });

  it('only from new ones on, once they were cleared', () => {
    const failures = new FailureWindow(2, 1000);
    expect([failures.add(0), failures.add(1)]).toEqual([false, true]);
    failures.clear();
    expect([failures.add(2), failures.add(3)]).toEqual([false, true]);
  });
});
