import { describe, expect, it } from '@jest/globals';
import { ConfigurationError, parse, RateLimitParseError, type LimitInput } from 'nestjs-limits';
import { itemsOf, itemsOrNone } from '../../../lib/notation/limit-input.js';

describe('itemsOf', () => {
  it('accepts a text, an item or several items', () => {
    const item = parse('1/minute');

    expect(itemsOf('1/minute; 5/hour').map(String)).toEqual(['1 per 1 minute', '5 per 1 hour']);
    expect(itemsOf(item)).toEqual([item]);
    expect(itemsOf([item, parse('5/hour')])).toHaveLength(2);
    expect(itemsOf(['1/second', item, '5/hour; 9/day']).map(String)).toEqual([
      '1 per 1 second',
      '1 per 1 minute',
      '5 per 1 hour',
      '9 per 1 day',
    ]);
  });

  it.each<[unknown, string]>([
    [[], 'an empty list'],
    [undefined, 'undefined'],
    [null, 'null'],
    [10, 'the number 10'],
    [{ amount: 10, period: 60_000 }, 'an object (Object)'],
    [[parse('1/minute'), 5], 'the number 5'],
    [[parse('1/minute'), undefined], 'undefined'],
  ])('throws for %p', (input, described) => {
    const message = `A limit must be a text such as "10/minute", a RateLimitItem or a list of them; got ${described}.`;
    expect(() => itemsOf(input as LimitInput)).toThrow(new ConfigurationError(message));
  });

  it('throws for a malformed text in a list, naming that text', () => {
    expect(() => itemsOf(['1/second', '5/minuet'])).toThrow('Cannot read the rate limit "5/minuet"');
    expect(() => itemsOf(['1/second', 'unlimited'])).toThrow('Cannot read the rate limit "unlimited"');
  });

  it('throws for a malformed text like parseMany', () => {
    expect(() => itemsOf('ten per minute')).toThrow(RateLimitParseError);
  });
});

describe('itemsOrNone', () => {
  it('has no items for "unlimited", and those of any other limit', () => {
    expect(itemsOrNone('unlimited')).toEqual([]);
    expect(itemsOrNone('1/minute; 5/hour').map(String)).toEqual(['1 per 1 minute', '5 per 1 hour']);
    expect(() => itemsOrNone(['unlimited'])).toThrow('Cannot read the rate limit "unlimited"');
  });
});
