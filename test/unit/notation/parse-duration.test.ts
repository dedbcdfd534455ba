import { describe, expect, it } from '@jest/globals';
import { ConfigurationError } from 'nestjs-limits';
import { parseDuration } from '../../../lib/notation/parse-duration.js';

describe('A length of time', () => {
  it.each([
    ['15 minutes', 900_000],
    ['1 hour', 3_600_000],
    ['1 HOUR', 3_600_000],
    ['day', 86_400_000],
    ['2h', 7_200_000],
    [' 30  s ', 30_000],
    ['500 ms', 500],
    ['1 month', 30 * 86_400_000],
  ])('is parsed to whole milliseconds: %s', (text, milliseconds) => {
    expect(parseDuration(text)).toBe(milliseconds);
  });

  it.each([
    ['', 'the string ""'],
    ['15', 'the string "15"'],
    ['minutes 15', 'the string "minutes 15"'],
    ['1.5 hours', 'the string "1.5 hours"'],
    ['-1 hour', 'the string "-1 hour"'],
    ['0 minutes', 'the string "0 minutes"'],
    [' 00 ms', 'the string " 00 ms"'],
    ['1 per hour', 'the string "1 per hour"'],
    ['1/hour', 'the string "1/hour"'],
    ['1 hour; 5/minute', 'the string "1 hour; 5/minute"'],
    ['1 fortnight', 'the string "1 fortnight"'],
    [900_000, 'the number 900000'],
    [undefined, 'undefined'],
    [null, 'null'],
    [['1 hour'], 'an array'],
    [Symbol('hour'), 'the symbol "Symbol(hour)"'],
  ])('throws with the given value: %p', (text, description) => {
    const call = (): number => parseDuration(text as never);
    expect(call).toThrow(ConfigurationError);
    expect(call).toThrow(`A length of time is written as "15 minutes" or "1 hour"; got ${description}.`);
  });

  it('throws with a cause', () => {
    const causeOf = (text: string): unknown => {
      try {
        return parseDuration(text);
      } catch (error) {
        return (error as Error).cause;
      }
    };
    expect(causeOf('1 fortnight')).toMatchObject({
      code: 'ERR_RATE_LIMIT_PARSE',
      input: '1 per 1 fortnight',
    });
    expect(causeOf('0 minutes')).toEqual(new RangeError('Not a duration.'));
  });
});
