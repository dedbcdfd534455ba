import { beforeAll, describe, expect, it } from '@jest/globals';
import {
  ConfigurationError,
  createLimit,
  loadTemporal,
  MemoryStorage,
  type CreateLimitOptions,
} from 'nestjs-limits';
import { describeValue } from '../../../lib/common/describe.js';
import { limitAt } from '../../../lib/core/limit.js';
import { rateStrategyNames } from '../../../lib/strategies/strategies.js';

/** Those that need no more than an amount and a period. */
const strategies = [
  'fixed-window',
  'fixed-window-elastic-expiry',
  'moving-window',
  'sliding-window-counter',
  'token-bucket',
] as const;

describe('createLimit', () => {
  it('adds the defaults', () => {
    expect(create()).toEqual({
      id: 'logins',
      digest: create().digest,
      name: 'logins',
      strategy: 'fixed-window',
      amount: 5,
      period: 60_000,
      burst: 5,
      mode: 'enforce',
      block: [],
      blockAfter: 1,
      policy: 'logins',
      refundable: false,
    });
  });

  it('keeps the given options', () => {
    const limit = create({
      name: 'Logins',
      strategy: 'token-bucket',
      burst: 10,
      mode: 'shadow',
      block: [1000, 2000],
    });
    expect(limit).toMatchObject({ name: 'Logins', burst: 10, mode: 'shadow', block: [1000, 2000] });
  });

  it('freezes the limit and its copy of the durations', () => {
    const block = [1000];
    const limit = create({ block });
    block.push(2000);
    expect(limit.block).toEqual([1000]);
    expect(Object.isFrozen(limit)).toBe(true);
    expect(Object.isFrozen(limit.block)).toBe(true);
  });

  it('makes a digest of the id only, of eight characters that are safe in any key', () => {
    expect(create().digest).toMatch(/^[A-Za-z0-9_-]{8}$/);
    expect(create({ amount: 9, name: 'other', mode: 'shadow' }).digest).toBe(create().digest);
    expect(create({ id: 'signups' }).digest).not.toBe(create().digest);
  });

  it.each(strategies)('accepts an amount of 0 and a period of one ms for %s', (strategy) => {
    expect(create({ strategy, amount: 0, period: 1 })).toMatchObject({ amount: 0, burst: 0, period: 1 });
  });

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
    expect(create(options)).toMatchObject({ ...options, burst: options.burst ?? options.amount ?? 5 });
  });

  it.each<[Partial<Record<keyof CreateLimitOptions, unknown>>, string]>([
    [
      { strategy: 'leaky-bucket' },
      `The strategy of the limit "logins" must be one of ${rateStrategyNames.join(', ')}; got the string "leaky-bucket".`,
    ],
    [
      { strategy: 'toString' },
      `The strategy of the limit "logins" must be one of ${rateStrategyNames.join(', ')}; got the string "toString".`,
    ],
    [{ id: 5 }, 'The id of a limit must be a string; got the number 5.'],
    [{ id: undefined }, 'The id of a limit must be a string; got undefined.'],
    [{ name: null }, 'The name of a limit must be a string; got null.'],
    [{ policy: Symbol('api') }, 'The policy of a limit must be a string; got the symbol "Symbol(api)".'],
    [{ block: 1000 }, 'The block of the limit "logins" must be a list; got the number 1000.'],
    [
      { amount: -1 },
      'The amount of the limit "logins" must be a whole number, at least 0; got the number -1.',
    ],
    [
      { amount: 0.5 },
      'The amount of the limit "logins" must be a whole number, at least 0; got the number 0.5.',
    ],
    [
      { amount: '5' },
      'The amount of the limit "logins" must be a whole number, at least 0; got the string "5".',
    ],
    [
      { period: 0 },
      'The period in ms of the limit "logins" must be a whole number, at least 1; got the number 0.',
    ],
    [
      { mode: 'report' },
      'The mode of the limit "logins" must be "enforce" or "shadow"; got the string "report".',
    ],
    [
      { block: [1000, 0] },
      'The block in ms of the limit "logins" must be a whole number, at least 1; got the number 0.',
    ],
    [
      { strategy: 'moving-window', amount: 1_000_001 },
      'The amount of the limit "logins" is 1000001: a moving window remembers each hit and holds at most 1000000. ' +
        'Take "sliding-window-counter" or "token-bucket" for large amounts.',
    ],
    [
      { burst: 10 },
      'The burst of the limit "logins" is for the strategy "token-bucket" only, not for "fixed-window".',
    ],
    [
      { strategy: 'token-bucket', burst: 0 },
      'The burst of the limit "logins" must be a whole number, at least 1; got the number 0.',
    ],
    [
      { strategy: 'token-bucket', amount: 0, burst: 3 },
      'The burst of the limit "logins" is 3 while the amount is 0: such a bucket would never refill.',
    ],
    [
      { strategy: 'token-bucket', amount: 2 ** 40, period: 2 ** 13 },
      'The burst of the limit "logins" (1099511627776) times the period (8192 ms) must not exceed 9007199254740991, or the bucket would lose precision.',
    ],
  ])('throws for %j', (options, message) => {
    expect(() => create(options as Partial<CreateLimitOptions>)).toThrow(new ConfigurationError(message));
  });

  it.each<[string, Partial<Record<keyof CreateLimitOptions, unknown>>]>([
    ['an amount one too large to count', { amount: 2 ** 53 }],
    ['an amount of NaN', { amount: Number.NaN }],
    ['an endless amount', { amount: Infinity }],
    ['no amount', { amount: undefined }],
    ['a period of a fraction of a ms', { period: 0.5 }],
    ['a negative period', { period: -1 }],
    ['an endless period', { period: Infinity }],
    ['a bucket one ms too large', { strategy: 'token-bucket', amount: 2, period: 2 ** 52 }],
    ['a burst of a fraction', { strategy: 'token-bucket', burst: 1.5 }],
    ['a burst of the amount of a window', { strategy: 'moving-window', burst: 5 }],
    ['a block of a fraction of a ms', { block: [1000, 1.5] }],
    ['a negative block', { block: [-1] }],
    ['no strategy', { strategy: undefined }],
  ])('throws for %s', (_what, options) => {
    expect(() => create(options as Partial<CreateLimitOptions>)).toThrow(ConfigurationError);
  });

  it.each([undefined, null, [], 'logins'])('throws for options that are no object: %p', (options) => {
    expect(() => createLimit(options as never)).toThrow(
      new ConfigurationError(`The options of a limit must be an object; got ${describeValue(options)}.`),
    );
  });

  it('makes limits with the same id share a count, whatever their amounts', () => {
    const storage = new MemoryStorage();
    const [free, pro] = [create(), create({ amount: 50 })];

    storage.consume([{ identity: 'user', limit: free, cost: 5 }]);

    expect(storage.peek([{ identity: 'user', limit: free, cost: 1 }])).toMatchObject({ allowed: false });
    expect(storage.peek([{ identity: 'user', limit: pro, cost: 1 }])).toMatchObject({
      allowed: true,
      outcomes: [{ remaining: 45 }],
    });
  });

  describe('with a calendar', () => {
    const month = { strategy: 'calendar-window', amount: 5, period: 30 * 86_400_000 } as const;
    const berlin = { unit: 'month', timeZone: 'Europe/Berlin', anchor: '2026-01-15' } as const;

    beforeAll(async () => loadTemporal());

    it('fills in the time zone and the anchor, which for weeks is a Monday', () => {
      expect(create({ ...month, calendar: { unit: 'month' } }).calendar).toEqual({
        unit: 'month',
        multiple: 1,
        timeZone: 'UTC',
        anchor: '1970-01-01',
      });
      expect(create({ ...month, calendar: { unit: 'week' } }).calendar?.anchor).toBe('1970-01-05');
    });

    it('is moved to another position, once for each', () => {
      const limit = create({ ...month, calendar: berlin });
      const moved = limitAt(limit, { anchor: '2026-01-31' });
      expect(moved).toEqual({ ...limit, calendar: { ...berlin, multiple: 1, anchor: '2026-01-31' } });
      expect(limitAt(limit, { anchor: '2026-01-31' })).toBe(moved);
      expect(limitAt(limit, { timeZone: 'UTC' }).calendar).toEqual({ ...limit.calendar, timeZone: 'UTC' });
      expect(limitAt(limit, {})).toBe(limit);
      expect(limitAt(create(), { anchor: '2026-01-31' })).toEqual(create());
    });

    it.each<[object, string]>([
      [month, 'The calendar of the limit "logins" is missing.'],
      [{ calendar: berlin }, 'is for the strategy "calendar-window" only, not for "fixed-window".'],
      [
        { ...month, calendar: { ...berlin, unit: 'fortnight' } },
        'The unit of a calendar window must be one of',
      ],
      [{ ...month, calendar: { ...berlin, multiple: 0 } }, 'The multiple of a calendar window must be'],
      [
        { ...month, calendar: { unit: 'year', multiple: 100_001 } },
        'is too long: the longest is 100,000 years.',
      ],
      [{ ...month, calendar: { ...berlin, timeZone: 'Mars' } }, 'The timeZone of a calendar window must be'],
      [
        { ...month, calendar: { ...berlin, anchor: '2026-02-29' } },
        'The anchor of a calendar window must be',
      ],
      [{ ...month, calendar: { ...berlin, anchor: '2026-01-15T24:00' } }, 'must be a local date'],
      [{ ...month, calendar: { ...berlin, anchor: '2026-01-15T00:00+01:00' } }, 'must be a local date'],
      [{ ...month, calendar: { ...berlin, anchor: new Date(0) } }, 'must be a local date'],
    ])('refuses %j', (options, message) => {
      expect(() => create(options)).toThrow(ConfigurationError);
      expect(() => create(options)).toThrow(message);
    });
  });
});

function create(options: Partial<CreateLimitOptions> = {}): ReturnType<typeof createLimit> {
  return createLimit({ id: 'logins', strategy: 'fixed-window', amount: 5, period: 60_000, ...options });
}
