import { describe, expect, it } from '@jest/globals';
import { SecondSeries } from '../../../lib/observability/second-series.js';

describe('A series of seconds', () => {
  it('returns the counts up to a second, without leading zeros', () => {
    const series = new SecondSeries();
    for (const [second, count] of [
      [1000, 0],
      [1001, 3],
      [1002, 0],
      [1003, 2],
    ] as const)
      series.set(second, count);
    expect(series.until(1003)).toEqual([3, 0, 2]);
    expect(series.sum).toBe(5);
  });

  it('forgets a second after ten minutes', () => {
    const series = new SecondSeries();
    series.set(1000, 7);
    for (let second = 1001; second <= 1599; second++) series.set(second, 1);
    expect([series.sum, series.until(1599).length]).toEqual([606, 600]);
    series.set(1600, 1);
    expect([series.sum, series.until(1600)[0]]).toEqual([600, 1]);
  });

  it('is empty if all counts are zero', () => {
    const series = new SecondSeries();
    series.set(5, 0);
    expect(series.until(5)).toEqual([]);
  });
});
