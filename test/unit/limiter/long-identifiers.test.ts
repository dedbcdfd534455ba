import { describe, expect, it } from '@jest/globals';
import {
  FixedWindowRateLimiter,
  MovingWindowRateLimiter,
  parse,
  RateLimitItemPerHour,
  toThrottlerStorage,
  type Storage,
} from 'nestjs-limits';
import { MapCasServer, MapCasStorage } from '../../support/map-cas.storage.js';

/** Characters of the longest key: prefix, braces and an identity. */
const MAX_KEY_LENGTH = 'nestjs-limits:{}'.length + 128 + 'throttler#:'.length;

const MEGABYTE = 1_000_000;
const long = 'e'.repeat(MEGABYTE);
const item = parse('5/hour');

const ways: Readonly<Record<string, (storage: Storage, identifier: string) => unknown>> = {
  'a limiter': (storage, identifier) =>
    new FixedWindowRateLimiter(storage).consume('5/hour', 'otp', identifier),
  'an item with a long namespace': (storage, identifier) =>
    new FixedWindowRateLimiter(storage).hit(new RateLimitItemPerHour(5, 1, identifier), 'otp'),
  'a limiter, as many identifiers': (storage, identifier) =>
    new FixedWindowRateLimiter(storage).hit(item, ...identifier.slice(-1000).split('')),
  incr: (storage, identifier) => storage.incr(identifier, 60),
  'incr of a key of an item': (storage, identifier) => storage.incr(item.keyFor('otp', identifier), 60),
  'incr of a key that looks like one of an item': (storage, identifier) =>
    storage.incr(`a/1/1/${identifier}`, 60),
  'incr of a key with a long number': (storage, identifier) =>
    storage.incr(`a/${identifier.replaceAll('e', '1')}/1/hour`, 60),
  acquireEntry: (storage, identifier) => storage.acquireEntry(identifier, 5, 60),
  'the storage for @nestjs/throttler': (storage, identifier) =>
    toThrottlerStorage(storage).increment(identifier, 60_000, 5, 0, 'default'),
};

describe.each(Object.entries(ways))('An identifier of a megabyte, given to %s', (_way, hit) => {
  it('makes neither keys nor records long', async () => {
    const server = new MapCasServer();
    await hit(new MapCasStorage(server), long);
    const [[key = '', record] = [], ...others] = server.entries;
    expect(others).toEqual([]);
    expect(key.length).toBeLessThanOrEqual(MAX_KEY_LENGTH);
    expect(record?.text.length).toBeLessThan(200);
  });

  it('shares no count with another that differs only at the end', async () => {
    const server = new MapCasServer();
    const storage = new MapCasStorage(server);
    await hit(storage, long);
    await hit(storage, `${long}f`);
    expect(server.entries.size).toBe(2);
    await hit(storage, long);
    expect(server.entries.size).toBe(2);
  });
});

describe('A key of a long identifier', () => {
  it('is that of the Python library, and still has the count of a limiter', async () => {
    const storage = new MapCasStorage(new MapCasServer());
    const limiter = new FixedWindowRateLimiter(storage);
    const identifier = 'x'.repeat(300);
    const key = item.keyFor('otp', identifier);
    expect(key).toBe(`LIMITER/otp/${identifier}/5/1/hour`);
    await limiter.consume(item, 'otp', identifier);
    await limiter.consume(item, 'otp', identifier);
    expect(await storage.get(key)).toBe(2);
    await storage.clear(key);
    expect(await storage.get(key)).toBe(0);
    expect((await limiter.getWindowStats(item, 'otp', identifier)).remaining).toBe(5);
  });

  it('has the entries of a moving window', async () => {
    const storage = new MapCasStorage(new MapCasServer());
    const key = item.keyFor('otp', long);
    expect(await storage.acquireEntry(key, 5, item.getExpiry())).toBe(true);
    expect(await storage.getNumAcquired(key, item.getExpiry())).toBe(1);
    const stats = await new MovingWindowRateLimiter(storage).getWindowStats(item, 'otp', long);
    expect(stats.remaining).toBe(4);
  });
});
