import { beforeAll, describe, expect, it } from '@jest/globals';
import {
  ConfigurationError,
  parse,
  parseMany,
  RateLimitItem,
  RateLimitItemPerMinute,
  RateLimitParseError,
  registerGranularity,
  type Granularity,
} from 'nestjs-limits';

const DAY = 86_400_000;

class RateLimitItemPerFortnight extends RateLimitItem {
  static override readonly granularity: Granularity = {
    name: 'fortnight',
    milliseconds: 14 * DAY,
    aliases: ['fn'],
  };
}

function itemClassOf(granularity: Granularity) {
  return class extends RateLimitItem {
    static override readonly granularity = granularity;
  };
}

describe('registerGranularity', () => {
  beforeAll(() => registerGranularity(RateLimitItemPerFortnight));

  it('adds a unit, its plural and its aliases to the notation, in any case', () => {
    for (const text of ['5/fortnight', '5 per 1 Fortnights', '5/FN']) {
      const item = parse(text);
      expect(item).toBeInstanceOf(RateLimitItemPerFortnight);
      expect([item.amount, item.getExpiry(), String(item)]).toEqual([5, 1_209_600, '5 per 1 fortnight']);
    }
    expect(parseMany('1/minute; 2/3 fn').map((item) => item.keyFor('x'))).toEqual([
      'LIMITER/x/1/1/minute',
      'LIMITER/x/2/3/fortnight',
    ]);
  });

  it('sorts the unit among the others by its length', () => {
    const sorted = parseMany('1/month, 1/fortnight, 1/week').sort((a, b) => a.compareTo(b));
    expect(sorted.map((item) => item.granularity.name)).toEqual(['week', 'fortnight', 'month']);
  });

  it('lists the unit where the notation expects one', () => {
    expect(() => parse('1/moon')).toThrow('month, year, fortnight) at position 2.');
  });

  it('can be called again with the same class', () => {
    registerGranularity(RateLimitItemPerFortnight);
    registerGranularity(RateLimitItemPerMinute);

    expect(parse('1/fortnight')).toBeInstanceOf(RateLimitItemPerFortnight);
  });

  it.each<[Granularity, string]>([
    [
      { name: 'minute', milliseconds: 60_000 },
      'The unit "minute" of the granularity "minute" already means "minute".',
    ],
    [{ name: 'h', milliseconds: 1 }, 'The unit "h" of the granularity "h" already means "hour".'],
    [
      { name: 'moon', milliseconds: 28 * DAY, aliases: ['m'] },
      'The unit "m" of the granularity "moon" already means "minute".',
    ],
    [
      { name: 'fortnight', milliseconds: 14 * DAY },
      'The unit "fortnight" of the granularity "fortnight" already means "fortnight".',
    ],
    [
      { name: 'Moon', milliseconds: 28 * DAY },
      'The unit "Moon" of the granularity "Moon" must be lower-case letters a-z other than "per" and "concurrent".',
    ],
    [
      { name: 'per', milliseconds: 1 },
      'The unit "per" of the granularity "per" must be lower-case letters a-z other than "per" and "concurrent".',
    ],
    [
      { name: 'moon', milliseconds: 1, aliases: ['28 days'] },
      'The unit "28 days" of the granularity "moon" must be lower-case letters a-z other than "per" and "concurrent".',
    ],
    [
      { name: 'moon', milliseconds: 1, aliases: ['moon2'] },
      'The unit "moon2" of the granularity "moon" must be lower-case letters a-z other than "per" and "concurrent".',
    ],
    [
      { name: '', milliseconds: 1 },
      'The unit "" of the granularity "" must be lower-case letters a-z other than "per" and "concurrent".',
    ],
    [
      { name: 'tick', milliseconds: 0.5 },
      'The granularity "tick" must last a whole number of milliseconds, at least 1; got the number 0.5.',
    ],
    [
      { name: 'tick', milliseconds: 0 },
      'The granularity "tick" must last a whole number of milliseconds, at least 1; got the number 0.',
    ],
    [
      { name: 'eon', milliseconds: Infinity },
      'The granularity "eon" must last a whole number of milliseconds, at least 1; got the number Infinity.',
    ],
  ])('throws for %j', (granularity, message) => {
    expect(() => registerGranularity(itemClassOf(granularity))).toThrow(new ConfigurationError(message));
  });

  it.each([
    undefined,
    { milliseconds: 1 },
    { name: 5, milliseconds: 1 },
    { name: 'x', milliseconds: 1, aliases: 'y' },
  ])('throws for a class whose granularity is %j', (granularity) => {
    expect(() => registerGranularity(itemClassOf(granularity as Granularity))).toThrow(
      new ConfigurationError(
        'A class of items needs "static readonly granularity = { name, milliseconds, aliases? }", the name a string and the aliases a list.',
      ),
    );
  });

  it('throws for a unit that is not a string, even one that converts to a unit', () => {
    const granularity = { name: 'tick', milliseconds: 1, aliases: [['tock']] } as unknown as Granularity;
    expect(() => registerGranularity(itemClassOf(granularity))).toThrow(
      'The unit an array of the granularity "tick" must be lower-case letters a-z other than "per" and "concurrent".',
    );
  });

  it('adds nothing from a class that it rejects', () => {
    expect(() =>
      registerGranularity(itemClassOf({ name: 'blink', milliseconds: 300, aliases: ['b', 'day'] })),
    ).toThrow(ConfigurationError);

    for (const unit of ['blink', 'blinks', 'b'])
      expect(() => parse(`1/${unit}`)).toThrow(RateLimitParseError);
  });
});
