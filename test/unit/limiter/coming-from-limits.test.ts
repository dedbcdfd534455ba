import { beforeEach, describe, expect, it } from '@jest/globals';
import {
  FixedWindowElasticExpiryRateLimiter,
  FixedWindowRateLimiter,
  MemoryStorage,
  MovingWindowRateLimiter,
  parse,
  parseMany,
  RateLimitParseError,
  SlidingWindowCounterRateLimiter,
  TokenBucketRateLimiter,
} from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { MapCasServer, MapCasStorage } from '../../support/map-cas.storage.js';

/** The statements of docs/coming-from-limits.md that no other test checks. */

const MINUTE = 60_000;
let clock: ManualClock;
let storage: MemoryStorage;

beforeEach(() => {
  clock = new ManualClock();
  storage = new MemoryStorage({ clock });
});

describe('Unlike the Python library limits', () => {
  it.each([
    FixedWindowRateLimiter,
    FixedWindowElasticExpiryRateLimiter,
    MovingWindowRateLimiter,
    SlidingWindowCounterRateLimiter,
    TokenBucketRateLimiter,
  ])('%p resets now while nothing is consumed', (Limiter) => {
    const limiter = new Limiter(storage);
    expect(limiter.getWindowStats('10/minute', 'user')).toEqual({ remaining: 10, resetTime: clock.now() });
  });

  it('times of limiters are in ms, and those of items and storages in seconds', async () => {
    const limiter = new FixedWindowRateLimiter(storage);
    const item = parse('10/minute');
    await limiter.hit(item, 'user');
    expect(limiter.getWindowStats(item, 'user')).toEqual({ remaining: 9, resetTime: clock.now() + MINUTE });
    expect(item.getExpiry()).toBe(60);
    expect(storage.getExpiry(item.keyFor('user'))).toBe((clock.now() + MINUTE) / 1000);
  });

  it('identifiers are strings', () => {
    const limiter = new FixedWindowRateLimiter(storage);
    expect(() => limiter.hit('10/minute', 42 as never)).toThrow(TypeError);
    expect(() => limiter.hit('10/minute', {} as never)).toThrow(
      'Convert it yourself, for example with String(id).',
    );
  });

  it('identifiers with a slash have counts of their own', () => {
    const limiter = new FixedWindowRateLimiter(storage);
    expect(limiter.hit('1/minute', 'a', 'b')).toBe(true);
    expect(limiter.hit('1/minute', 'a/b')).toBe(true);
    expect(limiter.hit('1/minute', 'a', 'b')).toBe(false);
  });

  it('a moving window allows a hit exactly one window after the oldest', () => {
    const limiter = new MovingWindowRateLimiter(storage);
    expect(limiter.hit('1/minute', 'user')).toBe(true);
    clock.advance(MINUTE - 1);
    expect(limiter.hit('1/minute', 'user')).toBe(false);
    clock.advance(1);
    expect(limiter.hit('1/minute', 'user')).toBe(true);
  });

  it('a moving window holds 10,000 on a storage that compares and sets, and 1,000,000 in memory', async () => {
    const remote = new MovingWindowRateLimiter(new MapCasStorage(new MapCasServer()));
    expect(await remote.hit('10000/minute', 'user')).toBe(true);
    await expect((async () => remote.hit('10001/minute', 'user'))()).rejects.toThrow(
      'of 10001 is too large for MapCasStorage, which holds up to 10000.',
    );
    const local = new MovingWindowRateLimiter(storage);
    expect(local.hit('1000000/minute', 'user')).toBe(true);
    expect(() => local.hit('1000001/minute', 'user')).toThrow('holds at most 1000000');
  });

  it('several limits are decided together, and a refused hit takes from none', () => {
    const limiter = new FixedWindowRateLimiter(storage);
    expect(limiter.hit('1/second; 10/minute', 'user')).toBe(true);
    expect(limiter.hit('1/second; 10/minute', 'user')).toBe(false);
    expect(limiter.getWindowStats('10/minute', 'user')).toMatchObject({ remaining: 9 });
    expect(() => parse('1/second; 10/minute')).toThrow(RateLimitParseError);
    expect(parseMany('1/second; 10/minute')).toHaveLength(2);
  });

  it('the cost comes in the options, after a list of identifiers', () => {
    const limiter = new FixedWindowRateLimiter(storage);
    expect(limiter.hit('10/minute', ['user', '42'], { cost: 10 })).toBe(true);
    expect(limiter.hit('10/minute', 'user', '42')).toBe(false);
  });

  it('an elastic window also moves with a hit that is refused', () => {
    const limiter = new FixedWindowElasticExpiryRateLimiter(storage);
    expect(limiter.hit('1/minute', 'user')).toBe(true);
    clock.advance(MINUTE - 1);
    expect(limiter.hit('1/minute', 'user')).toBe(false);
    clock.advance(MINUTE - 1);
    expect(limiter.hit('1/minute', 'user')).toBe(false);
  });

  it('reset returns the number of identities', async () => {
    const limiter = new FixedWindowRateLimiter(storage);
    for (const limit of ['1/second', '1/minute', '1/hour']) await limiter.hit(limit, 'ann');
    await limiter.hit('1/minute', 'bob');
    expect(storage.reset()).toBe(2);
  });
});
