import { describe, expect, it } from '@jest/globals';
import { parse, parseMany, RateLimitError, RateLimitItem, RateLimitParseError } from 'nestjs-limits';

const UNITS = 'millisecond, second, minute, hour, day, week, month, year';
const FORM =
  'Write "<amount> per [multiple] <unit>", for example "10/minute" or "5 per 2 hours", or "5 concurrent"; separate several with ";", "," or "|".';

describe('parse', () => {
  it.each([
    ['millisecond', 1, ['millisecond', 'milliseconds', 'ms']],
    ['second', 1000, ['second', 'seconds', 's', 'sec', 'secs']],
    ['minute', 60_000, ['minute', 'minutes', 'm', 'min', 'mins']],
    ['hour', 3_600_000, ['hour', 'hours', 'h', 'hr', 'hrs']],
    ['day', 86_400_000, ['day', 'days', 'd']],
    ['week', 604_800_000, ['week', 'weeks', 'w']],
    ['month', 2_592_000_000, ['month', 'months']],
    ['year', 31_104_000_000, ['year', 'years']],
  ])('accepts the %s, of %i ms, in each spelling and any case', (name, milliseconds, spellings) => {
    for (const spelling of spellings) {
      const capital = spelling.charAt(0).toUpperCase() + spelling.slice(1);
      for (const unit of [spelling, spelling.toUpperCase(), capital]) {
        const item = parse(`5/3${unit}`);
        expect([item.granularity.name, item.period, String(item)]).toEqual([
          name,
          3 * milliseconds,
          `5 per 3 ${name}`,
        ]);
      }
    }
  });

  it.each([
    'mon',
    'mo',
    'y',
    'yr',
    'wk',
    'minutess',
    'ss',
    'msec',
    'µs',
    'days/s',
    'constructor',
    '__proto__',
  ])('rejects the unit "%s"', (unit) => {
    expect(() => parse(`1/${unit}`)).toThrow(RateLimitParseError);
  });

  it('parses 0 as an amount that refuses everything, and a multiple of 0 as 1', () => {
    expect(parse('0/minute').amount).toBe(0);
    expect(parse('5 per 0 hours').multiples).toBe(1);
  });

  it('parses the largest amount and the longest window exactly', () => {
    expect(parse('9007199254740991/second').amount).toBe(Number.MAX_SAFE_INTEGER);
    expect(parse('1/9007199254740991 ms').period).toBe(Number.MAX_SAFE_INTEGER);
    expect(parse('1/289583 years').period).toBe(289_583 * 31_104_000_000);
  });

  it('parses a window in seconds, with fractions', () => {
    expect(parse('1/1500 ms').getExpiry()).toBe(1.5);
  });

  it('rejects several limits, and refers to parseMany', () => {
    expect(() => parse('1/second; 5/minute')).toThrow(
      'expected the end of the limit (use parseMany for several) at position 8.',
    );
  });

  it('returns a new item each time', () => {
    expect(parse('1/second')).not.toBe(parse('1/second'));
    expect(parse('1/second')).toBeInstanceOf(RateLimitItem);
  });
});

describe('parseMany', () => {
  it('parses limits separated by any of ; , | in their order, with repetitions', () => {
    expect(parseMany('1/s;2/m , 3/h | 1/s').map(String)).toEqual([
      '1 per 1 second',
      '2 per 1 minute',
      '3 per 1 hour',
      '1 per 1 second',
    ]);
  });

  it.each<[input: string, position: number, expected: string]>([
    ['', 0, 'a whole number (the amount)'],
    ['   ', 3, 'a whole number (the amount)'],
    ['minute', 0, 'a whole number (the amount)'],
    ['-1/minute', 0, 'a whole number (the amount)'],
    ['٣/minute', 0, 'a whole number (the amount)'],
    [' 10 minute', 4, '"/", "per" or "concurrent"'],
    ['1.5/minute', 1, '"/", "per" or "concurrent"'],
    ['10_000/day', 2, '"/", "per" or "concurrent"'],
    ['10 pe minute', 3, '"/", "per" or "concurrent"'],
    ['1/', 2, `a unit (${UNITS})`],
    ['1 per 2 ', 8, `a unit (${UNITS})`],
    ['1/fortnight', 2, `a unit (${UNITS})`],
    ['1/ 3  moons', 6, `a unit (${UNITS})`],
    ['1//minute', 2, `a unit (${UNITS})`],
    ['1/1.5 minutes', 3, `a unit (${UNITS})`],
    ['1/minute 2/hour', 9, 'a separator (";", "," or "|") or the end'],
    ['1/minute & 2/hour', 9, 'a separator (";", "," or "|") or the end'],
    ['1/minute;', 9, 'a whole number (the amount)'],
    ['1/minute; ;2/hour', 10, 'a whole number (the amount)'],
    ['1/minute; 2 hour', 12, '"/", "per" or "concurrent"'],
    ['1/minute;2/hour,3/eon', 18, `a unit (${UNITS})`],
    ['9007199254740992/second', 0, 'a number up to 9007199254740991'],
    ['1/s; 99999999999999999999/m', 5, 'a number up to 9007199254740991'],
    ['1/9007199254740992 ms', 2, 'a number up to 9007199254740991'],
    ['1/289584 years', 9, 'a shorter window'],
    ['1/s, 1 per 9007199254740991 s', 28, 'a shorter window'],
  ])('rejects %j at position %i, where it expected %s', (input, position, expected) => {
    expect(errorOf(() => parseMany(input))).toMatchObject({
      input,
      position,
      expected,
      code: 'ERR_RATE_LIMIT_PARSE',
      help: 'docs/configuration-errors.md#err_rate_limit_parse',
      name: 'RateLimitParseError',
      message: `Cannot read the rate limit ${JSON.stringify(input)}: expected ${expected} at position ${position}. ${FORM}`,
    });
  });

  it.each<[value: unknown, input: string, described: string]>([
    [undefined, 'undefined', 'undefined'],
    [null, 'null', 'null'],
    [10, '10', 'the number 10'],
    [true, 'true', 'the boolean true'],
    [10n, '10', 'the bigint "10"'],
    [['1/minute'], 'an array', 'an array'],
    [{ limit: '1/minute' }, 'an object (Object)', 'an object (Object)'],
    [new Date(0), 'an object (Date)', 'an object (Date)'],
    [Symbol('limit'), 'Symbol(limit)', 'the symbol "Symbol(limit)"'],
    [errorOf, 'a function (errorOf)', 'a function (errorOf)'],
    [Object.create(null), 'an object (Object)', 'an object (Object)'],
  ])('rejects %p, which is not a string', (value, input, described) => {
    for (const read of [parse, parseMany]) {
      expect(errorOf(() => read(value as string))).toMatchObject({
        input,
        position: 0,
        expected: `a string such as "10/minute", got ${described},`,
        message: `Cannot read the rate limit ${JSON.stringify(input)}: expected a string such as "10/minute", got ${described}, at position 0. ${FORM}`,
      });
    }
  });

  it('shows 80 characters of a long input and its length, and keeps all of it in the error', () => {
    const input = `10/minutes and ${'so on '.repeat(1000)}`;
    const error = errorOf(() => parseMany(input));

    expect(error).toMatchObject({ input, position: 11 });
    expect(error.message).toContain(
      `Cannot read the rate limit "${input.slice(0, 77)}..." (${input.length} characters): expected`,
    );
  });

  it('shows an input of 80 characters completely', () => {
    const input = '1/minute'.padEnd(79) + 'x';

    expect(errorOf(() => parseMany(input)).message).toContain(`"${input}"`);
  });
});

function errorOf(read: () => unknown): RateLimitParseError {
  try {
    read();
  } catch (error) {
    if (error instanceof RateLimitParseError && error instanceof RateLimitError) return error;
    throw error;
  }
  throw new Error('Nothing was thrown.');
}
