import { describe, expect, it } from '@jest/globals';
import { describeDuration, describePeriod } from '../../../lib/notation/describe-period.js';

describe('a window in words', () => {
  it.each([
    [1, 'millisecond', '1 millisecond'],
    [90, '90 milliseconds', '90 milliseconds'],
    [1000, 'second', '1 second'],
    [1500, '1500 milliseconds', '1500 milliseconds'],
    [90_000, '90 seconds', '90 seconds'],
    [60_000, 'minute', '1 minute'],
    [120_000, '2 minutes', '2 minutes'],
    [3_600_000, 'hour', '1 hour'],
    [7_200_000, '2 hours', '2 hours'],
    [86_400_000, 'day', '1 day'],
    [604_800_000, 'week', '1 week'],
    [1_209_600_000, '2 weeks', '2 weeks'],
    [2_592_000_000, 'month', '1 month'],
    [31_104_000_000, 'year', '1 year'],
    [62_208_000_000, '2 years', '2 years'],
  ])('%d ms are a "%s", and last "%s"', (milliseconds, period, duration) => {
    expect(describePeriod(milliseconds)).toBe(period);
    expect(describeDuration(milliseconds)).toBe(duration);
  });

  it('uses milliseconds if no unit divides it', () => {
    expect(describePeriod(0.5)).toBe('0.5 milliseconds');
  });
});
