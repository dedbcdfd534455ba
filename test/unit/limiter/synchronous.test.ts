import { describe, expect, it } from '@jest/globals';
import { Decision, FixedWindowRateLimiter, MemoryStorage } from 'nestjs-limits';

describe('A limiter over memory storage', () => {
  const limiter = new FixedWindowRateLimiter(new MemoryStorage());

  it('returns values, without promises', () => {
    expect(limiter.hit('5/minute', 'a')).toBe(true);
    expect(limiter.test('5/minute', 'a')).toBe(true);
    expect(limiter.consume('5/minute', 'a')).toBeInstanceOf(Decision);
    expect(limiter.peek('5/minute', 'a')).toBeInstanceOf(Decision);
    expect(limiter.getWindowStats('5/minute', 'a')).toMatchObject({ remaining: 3 });
    expect(limiter.refund('5/minute', 'a')).toBeUndefined();
    expect(limiter.refund(new Decision({ allowed: true, now: 0, outcomes: [] }))).toBeUndefined();
    expect(limiter.clear('5/minute', 'a')).toBeUndefined();
  });
});
