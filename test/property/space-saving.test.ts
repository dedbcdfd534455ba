import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { SpaceSaving } from '../../lib/observability/space-saving.js';

/** Streams in which some keys are frequent, and capacities below and above the number of keys. */
const streams = fc.record({
  capacity: fc.integer({ min: 1, max: 30 }),
  keys: fc.array(fc.oneof(fc.constantFrom('a', 'b', 'c'), fc.integer({ min: 0, max: 60 }).map(String)), {
    minLength: 1,
    maxLength: 400,
  }),
});

function count(keys: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
  return counts;
}

function add(keys: readonly string[], capacity: number): SpaceSaving {
  const found = new SpaceSaving(capacity);
  for (const key of keys) found.add(key);
  return found;
}

describe('Space-Saving with k counts, after N additions,', () => {
  it('counts no key too low, and too high by its error at most, which is N/k at most', () => {
    fc.assert(
      fc.property(streams, ({ capacity, keys }) => {
        const exact = count(keys);
        for (const { key, count: counted, error } of add(keys, capacity).top(capacity)) {
          const actual = exact.get(key) ?? 0;
          expect(counted).toBeGreaterThanOrEqual(actual);
          expect(counted - error).toBeLessThanOrEqual(actual);
          expect(error).toBeLessThanOrEqual(keys.length / capacity);
        }
      }),
    );
  });

  it('has every key that was added more than N/k times', () => {
    fc.assert(
      fc.property(streams, ({ capacity, keys }) => {
        const found = add(keys, capacity)
          .top(capacity)
          .map(({ key }) => key);
        const frequent = [...count(keys)].filter(([, times]) => times > keys.length / capacity);
        expect(found).toEqual(expect.arrayContaining(frequent.map(([key]) => key)));
      }),
    );
  });

  it('has k keys at most, whose counts add up to N', () => {
    fc.assert(
      fc.property(streams, ({ capacity, keys }) => {
        const found = add(keys, capacity);
        expect(found.size).toBe(Math.min(capacity, count(keys).size));
        expect(found.total).toBe(keys.length);
        const sum = found.top(capacity).reduce((total, one) => total + one.count, 0);
        expect(sum).toBe(keys.length);
      }),
    );
  });

  it('is exact while there are no more than k keys', () => {
    fc.assert(
      fc.property(streams, ({ keys }) => {
        const exact = [...count(keys)].map(([key, times]) => ({ key, count: times, error: 0 }));
        const found = add(keys, 100).top(100);
        expect(found.map(({ count: times }) => times)).toEqual(
          exact.map((one) => one.count).sort((a, b) => b - a),
        );
        expect(new Map(found.map((one) => [one.key, one]))).toEqual(
          new Map(exact.map((one) => [one.key, one])),
        );
      }),
    );
  });
});
