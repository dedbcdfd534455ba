import { describe, expect, it } from '@jest/globals';
import { parse, parseMany, RateLimitItemConcurrent, registerGranularity, RateLimitItem } from 'nestjs-limits';
import { isConcurrent } from '../../../lib/notation/rate-limit-item-concurrent.js';

describe('The notation of concurrent requests', () => {
  it.each(['5 concurrent', '5concurrent', ' 5  CONCURRENT '])('parses %j as five slots', (text) => {
    const item = parse(text);
    expect(item).toBeInstanceOf(RateLimitItemConcurrent);
    expect([item.amount, item.multiples, item.granularity.name, item.getExpiry()]).toEqual([
      5,
      1,
      'concurrent',
      30,
    ]);
  });

  it('formats an item as it is parsed', () => {
    expect(String(parse('5 concurrent'))).toBe('5 concurrent');
    expect(parse(String(parse('5 concurrent'))).equals(parse('5 concurrent'))).toBe(true);
  });

  it('is told from rates', () => {
    expect(parseMany('100/minute; 5 concurrent').map(isConcurrent)).toEqual([false, true]);
  });

  it('stands in a list of limits', () => {
    expect(parseMany('100/minute; 5 concurrent, 0 concurrent').map(String)).toEqual([
      '100 per 1 minute',
      '5 concurrent',
      '0 concurrent',
    ]);
  });

  it('has a key of its own', () => {
    expect(parse('5 concurrent').keyFor('exports', '42')).toBe('LIMITER/exports/42/5/1/concurrent');
  });

  it.each([
    ['5 concurrently', 2, '"/", "per" or "concurrent"'],
    ['5/concurrent', 2, 'a unit (millisecond, second, minute, hour, day, week, month, year)'],
    ['concurrent', 0, 'a whole number (the amount)'],
    ['5 concurrent per minute', 13, 'the end of the limit (use parseMany for several)'],
  ])('rejects %j at position %i, where it expected %s', (text, position, expected) => {
    expect(() => parse(text)).toThrow(`expected ${expected} at position ${position}.`);
  });

  it('has no multiple', () => {
    expect(new RateLimitItemConcurrent(5, 0).multiples).toBe(1);
    expect(() => new RateLimitItemConcurrent(5, 2)).toThrow(
      new RangeError('A limit of concurrent requests has no multiple; got 2.'),
    );
  });

  it('reserves its word', () => {
    class Other extends RateLimitItem {
      static override readonly granularity = { name: 'concurrent', milliseconds: 1 };
    }
    expect(() => registerGranularity(Other)).toThrow(
      'The unit "concurrent" of the granularity "concurrent" must be lower-case letters a-z other than "per" and "concurrent".',
    );
  });
});
