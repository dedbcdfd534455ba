import { describe, expect, it } from '@jest/globals';
import {
  parse,
  parseMany,
  RateLimitItem,
  RateLimitItemPerDay,
  RateLimitItemPerHour,
  RateLimitItemPerMillisecond,
  RateLimitItemPerMinute,
  RateLimitItemPerMonth,
  RateLimitItemPerSecond,
  RateLimitItemPerWeek,
  RateLimitItemPerYear,
} from 'nestjs-limits';

describe('RateLimitItem', () => {
  it.each([
    [RateLimitItemPerMillisecond, 'millisecond', 0.002],
    [RateLimitItemPerSecond, 'second', 2],
    [RateLimitItemPerMinute, 'minute', 120],
    [RateLimitItemPerHour, 'hour', 7200],
    [RateLimitItemPerDay, 'day', 172_800],
    [RateLimitItemPerWeek, 'week', 1_209_600],
    [RateLimitItemPerMonth, 'month', 5_184_000],
    [RateLimitItemPerYear, 'year', 62_208_000],
  ] as const)('counts in its unit for %p', (itemClass, name, twoUnits) => {
    const item = new itemClass(7, 2);

    expect(item).toMatchObject({ amount: 7, multiples: 2, namespace: 'LIMITER' });
    expect(item.granularity.name).toBe(name);
    expect(item.getExpiry()).toBe(twoUnits);
    expect(item.period).toBe(twoUnits * 1000);
    expect(String(item)).toBe(`7 per 2 ${name}`);
    expect(item.keyFor('user', '42')).toBe(`LIMITER/user/42/7/2/${name}`);
  });

  it('lasts one unit by default', () => {
    expect(new RateLimitItemPerMinute(10).multiples).toBe(1);
    expect(new RateLimitItemPerMinute(10, 0).multiples).toBe(1);
    expect(new RateLimitItemPerMinute(10, -0).multiples).toBe(1);
  });

  it.each([
    [-1, 1, 'The amount of the rate limit "-1 per 1 minute"', '-1'],
    [1.5, 1, 'The amount of the rate limit "1.5 per 1 minute"', '1.5'],
    [Number.NaN, 1, 'The amount of the rate limit "NaN per 1 minute"', 'NaN'],
    [Infinity, 1, 'The amount of the rate limit "Infinity per 1 minute"', 'Infinity'],
    [2 ** 53, 1, 'The amount of the rate limit "9007199254740992 per 1 minute"', '9007199254740992'],
    [10, -1, 'The multiple of the rate limit "10 per -1 minute"', '-1'],
    [10, 0.5, 'The multiple of the rate limit "10 per 0.5 minute"', '0.5'],
    [10, Number.NaN, 'The multiple of the rate limit "10 per NaN minute"', 'NaN'],
    [
      10,
      2 ** 52,
      'The window in milliseconds of the rate limit "10 per 4503599627370496 minute"',
      '270215977642229760000',
    ],
  ])('throws for an amount of %p with a multiple of %p', (amount, multiples, what, got) => {
    const message = `${what} must be a whole number from 0 to 9007199254740991, got ${got}.`;
    expect(() => new RateLimitItemPerMinute(amount, multiples)).toThrow(new RangeError(message));
  });

  it.each<unknown>(['10', null, [10]])('throws for the amount %p, which is not a number', (amount) => {
    expect(() => new RateLimitItemPerMinute(amount as number)).toThrow(RangeError);
  });

  it('throws for a namespace that is not a string', () => {
    expect(() => new RateLimitItemPerMinute(1, 1, 5 as unknown as string)).toThrow(
      new TypeError(
        'A rate limit identifier must be a string, got the number 5. Convert it yourself, for example with String(id).',
      ),
    );
  });

  describe('keyFor', () => {
    const item = new RateLimitItemPerMinute(10, 2);

    it('begins with the namespace', () => {
      expect(new RateLimitItemPerMinute(10, 2, 'api').keyFor('x')).toBe('api/x/10/2/minute');
      expect(new RateLimitItemPerMinute(10, 2, 'my/api').keyFor('x')).toBe('my%2Fapi/x/10/2/minute');
    });

    it('needs no identifier', () => {
      expect(item.keyFor()).toBe('LIMITER/10/2/minute');
    });

    it.each([
      ['a/b', 'a%2Fb'],
      ['100%', '100%25'],
      ['%2F', '%252F'],
      ['{slot}', '%7Bslot%7D'],
      ['a\r\nb', 'a%0D%0Ab'],
      ['\0', '%00'],
      ['\u007f\u009f', '%7F%9F'],
      ['a b:c!*', 'a b:c!*'],
      ['Zürich 北京 🚀', 'Zürich 北京 🚀'],
      ['2001:db8::/64', '2001:db8::%2F64'],
      ['', ''],
    ])('encodes the identifier %j as %j', (identifier, written) => {
      expect(item.keyFor(identifier)).toBe(`LIMITER/${written}/10/2/minute`);
    });

    it('returns different keys for different identities', () => {
      const identities = [
        [],
        [''],
        ['', ''],
        ['a', 'b', 'c'],
        ['a/b', 'c'],
        ['a', 'b/c'],
        ['a/b/c'],
        ['a%2Fb', 'c'],
        ['a', 'b', 'c', ''],
        ['10', '2', 'minute'],
        ['A', 'b', 'c'],
      ];
      const keys = identities.map((identifiers) => item.keyFor(...identifiers));

      expect(new Set(keys).size).toBe(identities.length);
      expect(keys.slice(4, 6)).toEqual(['LIMITER/a%2Fb/c/10/2/minute', 'LIMITER/a/b%2Fc/10/2/minute']);
    });

    it('joins the identity and the cell', () => {
      expect(item.identityFor(['a/b', 'c'])).toBe('LIMITER/a%2Fb/c');
      expect(item.cell).toBe('10/2/minute');
    });

    it.each<[unknown, string]>([
      [42, 'the number 42'],
      [undefined, 'undefined'],
      [null, 'null'],
      [{ id: 1 }, 'an object (Object)'],
      [['a'], 'an array'],
      [Symbol('id'), 'the symbol "Symbol(id)"'],
      [function user() {}, 'a function (user)'],
    ])('throws for the identifier %p', (identifier, described) => {
      const message = `A rate limit identifier must be a string, got ${described}. Convert it yourself, for example with String(id).`;
      expect(() => item.keyFor('user', identifier as string)).toThrow(new TypeError(message));
    });
  });

  describe('equals', () => {
    const item = new RateLimitItemPerMinute(10, 2, 'api');

    it('compares amount, multiples, granularity and namespace', () => {
      expect(item.equals(new RateLimitItemPerMinute(10, 2, 'api'))).toBe(true);
      expect(item.equals(new RateLimitItemPerMinute(11, 2, 'api'))).toBe(false);
      expect(item.equals(new RateLimitItemPerMinute(10, 3, 'api'))).toBe(false);
      expect(item.equals(new RateLimitItemPerHour(10, 2, 'api'))).toBe(false);
      expect(item.equals(new RateLimitItemPerMinute(10, 2))).toBe(false);
    });

    it('distinguishes equal durations in different units', () => {
      expect(parse('10/60 seconds').equals(parse('10/minute'))).toBe(false);
    });
  });

  describe('compareTo', () => {
    it('sorts by granularity, then multiples, then amount', () => {
      const sorted = parseMany('1/year, 5/minute, 9/s, 2/90 s, 4/minute, 3/2 minutes, 7/ms, 1/week, 1/month')
        .sort((a, b) => a.compareTo(b))
        .map(String);

      expect(sorted).toEqual([
        '7 per 1 millisecond',
        '9 per 1 second',
        '2 per 90 second',
        '4 per 1 minute',
        '5 per 1 minute',
        '3 per 2 minute',
        '1 per 1 week',
        '1 per 1 month',
        '1 per 1 year',
      ]);
    });

    it('is 0 for items that differ only in the namespace', () => {
      expect(new RateLimitItemPerMinute(1, 1, 'a').compareTo(new RateLimitItemPerMinute(1, 1, 'b'))).toBe(0);
    });
  });

  describe('checkGranularityString', () => {
    it.each(['minute', 'minutes', 'MINUTES', 'Min', 'mins', 'm'])('accepts "%s" as minutes', (unit) => {
      expect(RateLimitItemPerMinute.checkGranularityString(unit)).toBe(true);
      expect(RateLimitItemPerHour.checkGranularityString(unit)).toBe(false);
    });

    it.each(['', 'minut', 'minute ', 'minutess', 'month'])('does not accept "%s" as minutes', (unit) => {
      expect(RateLimitItemPerMinute.checkGranularityString(unit)).toBe(false);
    });
  });

  it('is inherited by every class of items', () => {
    expect(new RateLimitItemPerMinute(1)).toBeInstanceOf(RateLimitItem);
  });
});

describe('A value that is not a number', () => {
  it.each<[unknown, string]>([
    ['5', 'the string "5"'],
    [Symbol('five'), 'the symbol "Symbol(five)"'],
    [Object.create(null), 'an object (Object)'],
    [undefined, 'undefined'],
  ])('throws with its description: %p', (amount, described) => {
    expect(() => new RateLimitItemPerMinute(amount as number)).toThrow(
      new RangeError(
        `The amount of the rate limit "${described} per 1 minute" must be a whole number from 0 to 9007199254740991, got ${described}.`,
      ),
    );
  });
});
