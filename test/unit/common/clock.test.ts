import { describe, expect, it } from '@jest/globals';
import { ManualClock } from 'nestjs-limits/testing';
import { systemClock } from '../../../lib/common/time.js';

describe('systemClock', () => {
  it('returns the epoch time in whole ms', () => {
    const before = Date.now();
    const now = systemClock.now();

    expect(Number.isSafeInteger(now)).toBe(true);
    expect(now).toBeGreaterThanOrEqual(before);
    expect(now).toBeLessThanOrEqual(Date.now());
  });
});

describe('ManualClock', () => {
  it('only changes when it is advanced, moved back or set', () => {
    const clock = new ManualClock(1000);

    expect([clock.now(), clock.now()]).toEqual([1000, 1000]);
    clock.advance(500);
    expect(clock.now()).toBe(1500);
    clock.advance(-1000);
    expect(clock.now()).toBe(500);
    clock.set(9000);
    expect(clock.now()).toBe(9000);
  });

  it('ends the timers that are due, in the order of their ends, and no others', () => {
    const clock = new ManualClock();
    const ended: string[] = [];
    clock.startTimer(300, () => ended.push('late'));
    clock.startTimer(200, () => ended.push('due'));
    const cancel = clock.startTimer(50, () => ended.push('cancelled'));
    clock.startTimer(100, () => ended.push('first'));
    cancel();
    clock.advance(200);
    expect(ended).toEqual(['first', 'due']);
    clock.advance(100);
    expect(ended).toEqual(['first', 'due', 'late']);
  });

  it('ends no timer that an earlier one has cancelled, although both are due', () => {
    const clock = new ManualClock();
    const ended: string[] = [];
    clock.startTimer(100, () => cancel());
    const cancel = clock.startTimer(200, () => ended.push('cancelled'));
    clock.advance(300);
    expect(ended).toEqual([]);
  });

  it('starts in 2024 by default', () => {
    expect(new Date(new ManualClock().now()).toISOString()).toBe('2024-01-01T00:00:00.000Z');
  });
});
