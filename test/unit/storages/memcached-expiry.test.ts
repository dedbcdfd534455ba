import { describe, expect, it } from '@jest/globals';
import { memcachedExpiry } from '../../../lib/storages/memcached/memcached-expiry.js';

const DAY = 86_400;
const NOW = 1_800_000_000;

describe('the expiry of an item', () => {
  it.each([
    [0, 2],
    [1, 3],
    [1000, 3],
    [1001, 4],
    [60_000, 62],
  ])('for %d ms is %d s: rounded up, and two seconds more', (ttl, expiry) => {
    expect(memcachedExpiry(ttl, NOW * 1000)).toBe(expiry);
  });

  it('is in seconds up to 30 days, and an absolute time beyond, as Memcached would interpret it so', () => {
    expect(memcachedExpiry((30 * DAY - 2) * 1000, NOW * 1000)).toBe(30 * DAY);
    expect(memcachedExpiry((30 * DAY - 2) * 1000 + 1, NOW * 1000)).toBe(NOW + 30 * DAY + 1);
    expect(memcachedExpiry(360 * DAY * 1000, NOW * 1000 + 1)).toBe(NOW + 1 + 360 * DAY + 2);
  });

  it('is none beyond the last time that Memcached supports', () => {
    const last = 2 ** 31 - 1;
    expect(memcachedExpiry((last - NOW - 2) * 1000, NOW * 1000)).toBe(last);
    expect(memcachedExpiry((last - NOW - 1) * 1000, NOW * 1000)).toBe(0);
    expect(memcachedExpiry(2 ** 52, NOW * 1000)).toBe(0);
  });
});
