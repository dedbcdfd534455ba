import { describe, expect, it } from '@jest/globals';
import { Timeline } from '../../../lib/replay/timeline.js';

const MINUTE = 60_000;

describe('a timeline', () => {
  it('counts events per minute, from the first time to the last', () => {
    const timeline = new Timeline();
    for (const [time, isEvent] of [
      [600_000, false],
      [720_000, true],
      [779_999, true],
      [900_001, true],
      [961_000, false],
    ] as const)
      timeline.add(time, isEvent);
    expect(timeline.peaks).toEqual(
      [0, 0, 2, 0, 0, 1, 0].map((perMinute, index) => ({ time: (10 + index) * MINUTE, perMinute })),
    );
    expect(timeline.highest).toEqual({ time: 720_000, perMinute: 2 });
  });

  it('is empty without times, and has no highest minute without events', () => {
    const timeline = new Timeline();
    expect([timeline.peaks, timeline.highest]).toEqual([[], undefined]);
    timeline.add(0, false);
    expect([timeline.peaks, timeline.highest]).toEqual([[{ time: 0, perMinute: 0 }], undefined]);
  });

  it('keeps the highest minute of each of at most 2,048 spans, for years of minutes', () => {
    const timeline = new Timeline();
    const minutes = 3_000_000;
    for (let minute = 0; minute < minutes; minute += 1000) {
      const events = minute === 1_234_000 ? 7 : 1;
      for (let event = 0; event < events; event++) timeline.add(minute * MINUTE, true);
    }
    expect(timeline.peaks.length).toBeGreaterThan(1000);
    expect(timeline.peaks.length).toBeLessThanOrEqual(2048);
    const spans = timeline.peaks.map(({ time }) => time);
    expect(new Set(spans.slice(1).map((time, index) => time - (spans[index] ?? 0)))).toEqual(
      new Set([2048 * MINUTE]),
    );
    expect(timeline.peaks.filter(({ perMinute }) => perMinute === 7)).toEqual([
      { time: Math.floor(1_234_000 / 2048) * 2048 * MINUTE, perMinute: 7 },
    ]);
    expect(timeline.highest).toEqual({ time: 1_234_000 * MINUTE, perMinute: 7 });
  });

  it('does the same for a log whose times jump from 1970 to 9999', () => {
    const timeline = new Timeline();
    timeline.add(0, true);
    timeline.add(253_402_300_799_999, true);
    expect(timeline.peaks.length).toBeLessThanOrEqual(2048);
    expect(timeline.peaks.filter(({ perMinute }) => perMinute > 0)).toHaveLength(2);
  });
});
