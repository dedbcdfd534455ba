import { describe, expect, it } from '@jest/globals';
import { ConfigurationError, createLimit, MemoryStorage, type CreateLimitOptions } from 'nestjs-limits';

// The exact bounds of the options, in addition to test/unit/core/limit.test.ts.
const base: CreateLimitOptions = { id: 'logins', strategy: 'fixed-window', amount: 5, period: 60_000 };

describe('createLimit', () => {
  it.each<[string, Partial<CreateLimitOptions>]>([
    ['the largest amount', { amount: Number.MAX_SAFE_INTEGER }],
    ['the longest period', { period: Number.MAX_SAFE_INTEGER }],
    ['the largest moving window', { strategy: 'moving-window', amount: 1_000_000 }],
    ['an amount of any size in two counters', { strategy: 'sliding-window-counter', amount: 1_000_000_000 }],
    [
      'the largest bucket',
      { strategy: 'token-bucket', amount: 1, burst: 1, period: Number.MAX_SAFE_INTEGER },
    ],
    ['a burst below the amount', { strategy: 'token-bucket', burst: 1 }],
    ['a burst that is undefined, whatever the strategy', { burst: undefined }],
    ['a block of one ms', { block: [1] }],
  ])('accepts %s', (_what, options) => {
    expect(createLimit({ ...base, ...options })).toMatchObject({
      ...options,
      burst: options.burst ?? options.amount ?? 5,
    });
  });

  it.each<[string, Partial<Record<keyof CreateLimitOptions, unknown>>]>([
    ['an amount one too large to count', { amount: 2 ** 53 }],
    ['an amount of NaN', { amount: Number.NaN }],
    ['an endless amount', { amount: Infinity }],
    ['no amount', { amount: undefined }],
    ['a period of a fraction of a ms', { period: 0.5 }],
    ['a negative period', { period: -1 }],
    ['an endless period', { period: Infinity }],
    ['a moving window one too large', { strategy: 'moving-window', amount: 1_000_001 }],
    ['a bucket one ms too large', { strategy: 'token-bucket', amount: 2, period: 2 ** 52 }],
    ['a burst of a fraction', { strategy: 'token-bucket', burst: 1.5 }],
    ['a burst of a window', { strategy: 'moving-window', burst: 5 }],
    ['a block of a fraction of a ms', { block: [1000, 1.5] }],
    ['a negative block', { block: [-1] }],
    ['no strategy', { strategy: undefined }],
  ])('throws for %s', (_what, options) => {
    expect(() => createLimit({ ...base, ...(options as Partial<CreateLimitOptions>) })).toThrow(
      ConfigurationError,
    );
  });

  it('makes limits with the same id share a count, whatever their amounts', () => {
    const storage = new MemoryStorage();
    const [free, pro] = [createLimit(base), createLimit({ ...base, amount: 50 })];

    storage.consume([{ identity: 'user', limit: free, cost: 5 }]);

    expect(storage.peek([{ identity: 'user', limit: free, cost: 1 }])).toMatchObject({ allowed: false });
    expect(storage.peek([{ identity: 'user', limit: pro, cost: 1 }])).toMatchObject({
      allowed: true,
      outcomes: [{ remaining: 45 }],
    });
  });
});
