import { describe, expect, it } from '@jest/globals';
import { Latencies } from '../../../lib/observability/latencies.js';

describe('Latencies', () => {
  it('are zeros if there are none', () => {
    expect(new Latencies().summary()).toEqual({ count: 0, p50: 0, p90: 0, p99: 0 });
  });

  it('have percentiles that are at most 9 % too high', () => {
    const latencies = new Latencies();
    for (let ms = 1; ms <= 1000; ms++) latencies.add(ms);
    const { count, p50, p90, p99 } = latencies.summary();
    expect(count).toBe(1000);
    for (const [found, exact] of [
      [p50, 500],
      [p90, 900],
      [p99, 990],
    ] as const) {
      expect(found).toBeGreaterThanOrEqual(exact);
      expect(found).toBeLessThanOrEqual(exact * 1.0906);
    }
  });

  it('take durations below a microsecond and above two minutes as these', () => {
    const latencies = new Latencies();
    latencies.add(0);
    expect(latencies.summary().p50).toBeCloseTo(0.00109, 5);
    latencies.add(1e9);
    expect(Math.round(latencies.summary().p99)).toBe(134_218);
  });

  it('are forgotten after ten minutes', () => {
    const latencies = new Latencies();
    latencies.add(5);
    for (let minute = 1; minute < 10; minute++) latencies.beginMinute();
    expect(latencies.summary().count).toBe(1);
    latencies.beginMinute();
    expect(latencies.summary().count).toBe(0);
  });
});
