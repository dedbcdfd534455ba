import { beforeEach, describe, expect, it } from '@jest/globals';
import {
  ConfigurationError,
  Decision,
  FixedWindowElasticExpiryRateLimiter,
  FixedWindowRateLimiter,
  MemoryStorage,
  MovingWindowRateLimiter,
  parse,
  parseMany,
  RateLimitItemPerMinute,
  RateLimitParseError,
  SlidingWindowCounterRateLimiter,
  TokenBucketRateLimiter,
  type HitOptions,
  type LimitInput,
  type RateLimiter,
  type StorageCapabilities,
} from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';

const NOW = 1_700_000_000_000;
const MINUTE = 60_000;

let clock: ManualClock;
let storage: MemoryStorage;
beforeEach(() => {
  clock = new ManualClock(NOW);
  storage = new MemoryStorage({ clock });
});

/**
 * Each limiter, the name of its strategy, and the time in which a full limit of 5 per minute
 * returns one unit, and five.
 */
const LIMITERS = [
  [FixedWindowRateLimiter, 'fixed-window', MINUTE, MINUTE],
  [FixedWindowElasticExpiryRateLimiter, 'fixed-window-elastic-expiry', MINUTE, MINUTE],
  [MovingWindowRateLimiter, 'moving-window', MINUTE, MINUTE],
  [SlidingWindowCounterRateLimiter, 'sliding-window-counter', MINUTE + 1, 2 * MINUTE - 12_000 + 1],
  [TokenBucketRateLimiter, 'token-bucket', MINUTE / 5, MINUTE],
] as const;

describe.each(LIMITERS.map((row) => [row[0].name, ...row] as const))(
  '%s',
  (_name, Limiter, strategy, untilOne, untilAll) => {
    let limiter: RateLimiter;
    beforeEach(() => {
      limiter = new Limiter(storage);
    });
    const limit = parse('5/minute');

    it('has its strategy and its storage', () => {
      expect(limiter.strategy).toBe(strategy);
      expect(limiter.storage).toBe(storage);
    });

    it('allows the amount, for each identity separately', () => {
      const answers = Array.from({ length: 6 }, () => limiter.hit(limit, 'user', '42'));

      expect(answers).toEqual([true, true, true, true, true, false]);
      expect(limiter.hit(limit, 'user', '43')).toBe(true);
      expect(limiter.hit(limit)).toBe(true);
    });

    it('tests without taking', () => {
      for (let i = 0; i < 10; i++) expect(limiter.test(limit, 'a')).toBe(true);

      expect(limiter.test(limit, ['a'], { cost: 5 })).toBe(true);
      expect(limiter.test(limit, ['a'], { cost: 6 })).toBe(false);
      expect(limiter.getWindowStats(limit, 'a')).toEqual({ remaining: 5, resetTime: NOW });
    });

    it('returns the remaining units and when they grow', async () => {
      await limiter.hit(limit, ['a'], { cost: 5 });

      expect(limiter.getWindowStats(limit, 'a')).toEqual({ remaining: 0, resetTime: NOW + untilOne });
      expect(limiter.getWindowStats(limit, 'b')).toEqual({ remaining: 5, resetTime: NOW });
    });

    it('returns the decision: the units taken and left, and the wait', () => {
      const taken = limiter.consume(limit, ['a'], { cost: 5 }) as Decision;
      const refused = limiter.consume(limit, ['a'], { cost: 5 }) as Decision;

      expect(taken).toBeInstanceOf(Decision);
      expect(taken).toMatchObject({
        allowed: true,
        now: NOW,
        remaining: 0,
        resetTime: NOW + untilOne,
        retryAfter: 0,
      });
      expect(refused).toMatchObject({
        allowed: false,
        now: NOW,
        remaining: 0,
        resetTime: NOW + untilOne,
        retryAfter: untilAll,
      });
      expect(taken.receipts).toHaveLength(1);
      expect(refused.receipts).toEqual([]);
    });

    it('allows the same hit exactly after retryAfter', async () => {
      await limiter.hit(limit, ['a'], { cost: 5 });
      clock.advance(untilAll - 1);
      expect(limiter.test(limit, ['a'], { cost: 5 })).toBe(false);
      clock.advance(1);
      expect(limiter.hit(limit, ['a'], { cost: 5 })).toBe(true);
    });

    it('peeks at the decision of consume', async () => {
      await limiter.hit(limit, ['a'], { cost: 3 });

      expect(limiter.peek(limit, 'a')).toMatchObject({
        allowed: true,
        remaining: 2,
        retryAfter: 0,
        receipts: [],
      });
      expect(limiter.peek(limit, ['a'], { cost: 3 })).toMatchObject({ allowed: false, remaining: 2 });
      expect(limiter.getWindowStats(limit, 'a')).toMatchObject({ remaining: 2 });
    });

    it('takes a cost completely or not at all', () => {
      expect(limiter.hit(limit, ['a'], { cost: 3 })).toBe(true);
      expect(limiter.hit(limit, ['a'], { cost: 3 })).toBe(false);
      expect(limiter.getWindowStats(limit, 'a')).toMatchObject({ remaining: 2 });
      expect(limiter.hit(limit, ['a'], { cost: 2 })).toBe(true);
    });

    it('always allows a cost of 0, which changes nothing', async () => {
      await limiter.hit(limit, ['a'], { cost: 5 });
      const before = limiter.getWindowStats(limit, 'a');
      clock.advance(1);

      const decision = limiter.consume(limit, ['a'], { cost: 0 }) as Decision;

      expect(decision).toMatchObject({ allowed: true, remaining: 0, retryAfter: 0 });
      expect(decision.receipts).toMatchObject([{ cost: 0, window: undefined }]);
      expect(limiter.getWindowStats(limit, 'a')).toEqual(before);
      expect(limiter.hit('0/minute', ['a'], { cost: 0 })).toBe(true);
    });

    it('never allows a cost above the capacity', () => {
      const decision = limiter.consume(limit, ['a'], { cost: 6 }) as Decision;

      expect(decision).toMatchObject({ allowed: false, remaining: 5, resetTime: NOW, retryAfter: Infinity });
      expect(limiter.getWindowStats(limit, 'a')).toEqual({ remaining: 5, resetTime: NOW });
    });

    it('refuses every hit on an amount of 0', () => {
      const decision = limiter.consume('0/minute', 'a') as Decision;

      expect(decision).toMatchObject({ allowed: false, remaining: 0, resetTime: NOW, retryAfter: Infinity });
      expect(limiter.test('0/minute', 'a')).toBe(false);
    });

    it('takes all of several limits or none', async () => {
      const limits = '5/minute; 2/second';
      await limiter.hit('2/second', ['a'], { cost: 2 });

      expect(limiter.hit(limits, 'a')).toBe(false);
      expect(limiter.test(limits, 'a')).toBe(false);
      expect(limiter.getWindowStats('5/minute', 'a')).toMatchObject({ remaining: 5 });

      clock.advance(2000);
      expect(limiter.hit(limits, 'a')).toBe(true);
      expect(limiter.getWindowStats('5/minute', 'a')).toMatchObject({ remaining: 4 });
      expect(limiter.getWindowStats('2/second', 'a')).toMatchObject({ remaining: 1 });
      expect(limiter.getWindowStats(limits, 'a')).toEqual(limiter.getWindowStats('2/second', 'a'));
    });

    it('accepts a text, an item and a list of items', async () => {
      await limiter.hit('5/minute; 2/second', 'a');
      await limiter.hit(parseMany('2/second, 5/minute'), 'a');
      await limiter.hit([parse('5 per 1 minutes')], 'a');

      expect(limiter.getWindowStats(limit, 'a')).toMatchObject({ remaining: 2 });
      expect(limiter.getWindowStats('2/second', 'a')).toMatchObject({ remaining: 0 });
    });

    it('refunds a decision once, with all its limits', async () => {
      const limits = '5/minute; 9/hour';
      const decision = limiter.consume(limits, ['a'], { cost: 3 }) as Decision;
      await limiter.hit(limits, 'a');

      await limiter.refund(decision);
      await limiter.refund(decision);

      expect(limiter.getWindowStats('5/minute', 'a')).toMatchObject({ remaining: 4 });
      expect(limiter.getWindowStats('9/hour', 'a')).toMatchObject({ remaining: 8 });
    });

    it('refunds a decision once, even by another limiter', async () => {
      const decision = await limiter.consume(limit, ['a'], { cost: 2 });
      await limiter.hit(limit, ['a'], { cost: 3 });

      await limiter.refund(decision);
      await new FixedWindowRateLimiter(storage).refund(decision);

      expect(limiter.getWindowStats(limit, 'a')).toMatchObject({ remaining: 2 });
    });

    it('refunds nothing for a hit that took nothing', async () => {
      await limiter.hit(limit, ['a'], { cost: 4 });
      await limiter.refund(await limiter.consume(limit, ['a'], { cost: 2 }));
      await limiter.refund(await limiter.consume(limit, ['a'], { cost: 0 }));
      await limiter.refund(await limiter.peek(limit, 'a'));

      expect(limiter.getWindowStats(limit, 'a')).toMatchObject({ remaining: 1 });
    });

    it('refunds nothing to a window that opened after that of the hit', async () => {
      const decision = await limiter.consume(limit, ['a'], { cost: 2 });
      clock.advance(2 * MINUTE);
      await limiter.hit(limit, ['a'], { cost: 3 });

      await limiter.refund(decision);

      expect(limiter.getWindowStats(limit, 'a')).toMatchObject({ remaining: 2 });
    });

    it('refunds by hand, never above the capacity', async () => {
      await limiter.hit(limit, ['a'], { cost: 3 });

      await limiter.refund(limit, 'a');
      expect(limiter.getWindowStats(limit, 'a')).toMatchObject({ remaining: 3 });
      await limiter.refund(limit, ['a'], { cost: 100 });
      expect(limiter.getWindowStats(limit, 'a')).toEqual({ remaining: 5, resetTime: NOW });
      await limiter.refund(limit, 'nobody');
      expect(limiter.getWindowStats(limit, 'nobody')).toEqual({ remaining: 5, resetTime: NOW });
    });

    it('clears one identity of one limit', async () => {
      await limiter.hit('5/minute; 9/hour', 'a');
      await limiter.hit('5/minute', 'b');

      await limiter.clear(limit, 'a');

      expect(limiter.getWindowStats('5/minute', 'a')).toMatchObject({ remaining: 5 });
      expect(limiter.getWindowStats('9/hour', 'a')).toMatchObject({ remaining: 8 });
      expect(limiter.getWindowStats('5/minute', 'b')).toMatchObject({ remaining: 4 });
    });

    it('can also be cleared by the key of its item', async () => {
      await limiter.hit(limit, 'user', 'a/b');

      await storage.clear(limit.keyFor('user', 'a/b'));

      expect(limiter.getWindowStats(limit, 'user', 'a/b')).toMatchObject({ remaining: 5 });
    });

    it('shares its count with another limiter of the strategy, and with no other strategy', async () => {
      await limiter.hit(limit, 'a');

      expect(new Limiter(storage).getWindowStats(limit, 'a')).toMatchObject({ remaining: 4 });
      for (const [Other] of LIMITERS.filter(([, other]) => other !== strategy)) {
        expect(new Other(storage).getWindowStats(limit, 'a')).toMatchObject({ remaining: 5 });
      }
    });

    it('counts namespaces separately', async () => {
      await limiter.hit(new RateLimitItemPerMinute(1, 1, 'web'), 'a');

      expect(limiter.test(new RateLimitItemPerMinute(1, 1, 'web'), 'a')).toBe(false);
      expect(limiter.test(new RateLimitItemPerMinute(1, 1, 'api'), 'a')).toBe(true);
    });

    it('starts again after the storage was reset', async () => {
      await limiter.hit(limit, ['a'], { cost: 5 });

      expect(storage.reset()).toBe(1);
      expect(limiter.test(limit, ['a'], { cost: 5 })).toBe(true);
    });
  },
);

describe('Any limiter', () => {
  let limiter: RateLimiter;
  beforeEach(() => {
    limiter = new FixedWindowRateLimiter(storage);
  });

  /** Every way to call a limiter with a limit. */
  function calls(
    limit: LimitInput,
    identifiers: readonly string[],
    options: HitOptions = {},
  ): (() => unknown)[] {
    return (['hit', 'test', 'consume', 'peek', 'refund', 'clear'] as const).map(
      (method) => () => limiter[method](limit, identifiers, options),
    );
  }

  it.each([
    [-1, 'the number -1'],
    [0.5, 'the number 0.5'],
    [2 ** 53, 'the number 9007199254740992'],
    ['1', 'the string "1"'],
    [null, 'null'],
  ])('throws for the cost %p', (cost, described) => {
    const message = `The cost of a hit must be a whole number from 0; got ${described}.`;
    for (const call of calls('1/minute', ['a'], { cost: cost as number }))
      expect(call).toThrow(new RangeError(message));
  });

  it.each([Number.NaN, Infinity, -Infinity])('throws for the cost %p', (cost) => {
    for (const call of calls('1/minute', ['a'], { cost })) {
      expect(call).toThrow(RangeError);
      expect(call).toThrow(/^The cost of a hit must be a whole number from 0; got the number /);
    }
  });

  it('uses a cost of 1 if the options have none', async () => {
    await limiter.hit('5/minute', ['a'], {});
    await limiter.hit('5/minute', ['a']);

    expect(limiter.getWindowStats('5/minute', 'a')).toMatchObject({ remaining: 3 });
  });

  it('throws for an identifier that is not a string', () => {
    for (const call of calls('1/minute', [42 as unknown as string])) {
      expect(call).toThrow(
        new TypeError(
          'A rate limit identifier must be a string, got the number 42. Convert it yourself, for example with String(id).',
        ),
      );
    }
    expect(() => limiter.hit('1/minute', undefined as unknown as string)).toThrow(TypeError);
  });

  it('throws for a malformed text every time', () => {
    for (const call of calls('1 minute', ['a'])) expect(call).toThrow(RateLimitParseError);
    for (const call of calls('1 minute', ['a'])) expect(call).toThrow(RateLimitParseError);
  });

  it.each([[undefined], [null], [5], [{}], [[]], [[5]], ['unlimited'], [['unlimited']]])(
    'throws for %j, which is not a limit',
    (limit) => {
      for (const call of calls(limit as unknown as LimitInput, ['a']))
        expect(call).toThrow(ConfigurationError);
    },
  );

  it('counts a list of texts as one text of several', () => {
    expect(limiter.hit(['2/minute', '5/hour; 9/day'], 'a')).toBe(true);
    expect(limiter.hit('2/minute; 5/hour; 9/day', 'a')).toBe(true);
    expect(limiter.hit(['2/minute', '5/hour'], 'a')).toBe(false);
    expect(limiter.getWindowStats(['9/day'], 'a')).toMatchObject({ remaining: 7 });
    expect(limiter.getWindowStats([parse('5/hour'), '9/day'], 'a')).toMatchObject({ remaining: 3 });
  });

  it('throws for limits that contain one of them twice, in any spelling', () => {
    const repeated =
      'The limits "1 per 1 minute; 5 per 1 hour; 1 per 1 minute" name one of them twice. Remove the repetition.';
    for (const call of calls('1/minute; 5/hour; 1 per minute', ['a'])) {
      expect(call).toThrow(new ConfigurationError(repeated));
    }
    for (const call of calls([parse('1/minute'), parse('1/MINUTES')], ['a'])) {
      expect(call).toThrow(ConfigurationError);
    }
  });

  it('accepts limits with the same spelling in two namespaces', () => {
    const limits = [new RateLimitItemPerMinute(1, 1, 'a'), new RateLimitItemPerMinute(1, 1, 'b')];

    expect(limiter.hit(limits, 'x')).toBe(true);
    expect(limiter.hit(limits, 'x')).toBe(false);
  });

  it('throws for a moving window that is too large', () => {
    const moving = new MovingWindowRateLimiter(storage);

    expect(moving.hit('1000000/hour', 'a')).toBe(true);
    expect(() => moving.hit('1000001/hour', 'a')).toThrow(ConfigurationError);
  });

  it('throws in the constructor for a storage without its strategy', () => {
    class CountersOnly extends MemoryStorage {
      override readonly capabilities: StorageCapabilities = {
        atomicity: 'batch',
        clock: 'local',
        strategies: ['fixed-window', 'fixed-window-elastic-expiry'],
        maxMovingWindow: 0,
      };
    }
    const counters = new CountersOnly();

    expect(new FixedWindowRateLimiter(counters).hit('1/minute')).toBe(true);
    expect(() => new MovingWindowRateLimiter(counters)).toThrow(
      new ConfigurationError(
        'CountersOnly has no strategy "moving-window". It has: fixed-window, fixed-window-elastic-expiry.',
      ),
    );
  });

  it('parses more texts than its cache holds', async () => {
    for (let amount = 1; amount <= 1500; amount++) await limiter.hit(`${amount}/minute`, 'a');

    expect(limiter.test('1/minute', 'a')).toBe(false);
    expect(limiter.getWindowStats('1500/minute', 'a')).toMatchObject({ remaining: 1499 });
  });

  it('returns the state of the limit with the least remaining', async () => {
    await limiter.hit('5/minute', ['a'], { cost: 2 });
    clock.advance(1000);

    expect(limiter.getWindowStats('4/hour; 5/minute', 'a')).toEqual({
      remaining: 3,
      resetTime: NOW + MINUTE,
    });
    expect(limiter.getWindowStats('2/hour; 5/minute', 'a')).toEqual({ remaining: 2, resetTime: NOW + 1000 });
  });

  it('waits for the longest of the limits that refuse', async () => {
    await limiter.hit('1/second; 1/minute; 5/hour', 'a');

    expect(limiter.consume('1/second; 1/minute; 5/hour', 'a')).toMatchObject({
      allowed: false,
      retryAfter: MINUTE,
      remaining: 0,
    });
  });
});

describe('FixedWindowElasticExpiryRateLimiter', () => {
  it('restarts the minute with every attempt, even one that another limit refuses', async () => {
    const limiter = new FixedWindowElasticExpiryRateLimiter(storage);
    await limiter.hit('5/minute', 'a');
    await limiter.hit('1/second', 'a');

    clock.advance(999);
    expect(limiter.hit('5/minute; 1/second', 'a')).toBe(false);

    expect(limiter.getWindowStats('5/minute', 'a')).toEqual({ remaining: 4, resetTime: NOW + 999 + MINUTE });
    expect(limiter.getWindowStats('1/second', 'a')).toEqual({ remaining: 0, resetTime: NOW + 1999 });
  });

  it('does not restart it by a test or a cost of 0', async () => {
    const limiter = new FixedWindowElasticExpiryRateLimiter(storage);
    await limiter.hit('1/minute', 'a');
    clock.advance(1000);
    await limiter.test('1/minute', 'a');
    await limiter.hit('1/minute', ['a'], { cost: 0 });

    expect(limiter.getWindowStats('1/minute', 'a')).toEqual({ remaining: 0, resetTime: NOW + MINUTE });
  });
});

describe('TokenBucketRateLimiter', () => {
  it('holds as many tokens as the amount by default', () => {
    const limiter = new TokenBucketRateLimiter(storage, {});

    expect(limiter.getWindowStats('60/minute', 'a')).toMatchObject({ remaining: 60 });
  });

  it('holds a burst of more than the amount, and refills by the amount', () => {
    const limiter = new TokenBucketRateLimiter(storage, { burst: 100 });

    expect(limiter.hit('60/minute', ['a'], { cost: 100 })).toBe(true);
    expect(limiter.consume('60/minute', ['a'], { cost: 100 })).toMatchObject({
      allowed: false,
      retryAfter: 100_000,
    });
    clock.advance(999);
    expect(limiter.hit('60/minute', 'a')).toBe(false);
    clock.advance(1);
    expect(limiter.hit('60/minute', 'a')).toBe(true);
    expect(limiter.hit('60/minute', 'a')).toBe(false);
    clock.advance(1_000_000);
    expect(limiter.getWindowStats('60/minute', 'a')).toMatchObject({ remaining: 100 });
  });

  it('holds a burst of less than the amount', () => {
    const limiter = new TokenBucketRateLimiter(storage, { burst: 2 });

    expect(limiter.getWindowStats('60/minute', 'a')).toMatchObject({ remaining: 2 });
    expect(limiter.consume('60/minute', ['a'], { cost: 3 })).toMatchObject({
      allowed: false,
      retryAfter: Infinity,
    });
  });

  it.each([
    [0, '60/minute', 'must be a whole number, at least 1; got the number 0.'],
    [1.5, '60/minute', 'must be a whole number, at least 1; got the number 1.5.'],
    [5, '0/minute', 'is 5 while the amount is 0: such a bucket would never refill.'],
  ])('throws for a burst of %p on %s', (burst, limit, reason) => {
    const limiter = new TokenBucketRateLimiter(storage, { burst });
    const name = String(parse(limit));

    expect(() => limiter.hit(limit, 'a')).toThrow(
      new ConfigurationError(`The burst of the limit "${name}" ${reason}`),
    );
  });

  it('throws for a bucket that would lose precision', () => {
    const limiter = new TokenBucketRateLimiter(storage);

    expect(limiter.hit('11/25000 years', 'a')).toBe(true);
    expect(() => limiter.hit('12/25000 years', 'a')).toThrow(ConfigurationError);
  });
});
