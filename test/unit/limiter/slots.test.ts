import { describe, expect, it } from '@jest/globals';
import {
  ConfigurationError,
  createLimit,
  FixedWindowRateLimiter,
  MemoryStorage,
  TokenBucketRateLimiter,
} from 'nestjs-limits';

const FIVE = '5 concurrent';
const ME = ['exports', '42'];

describe('acquire', () => {
  it('holds a slot until it is released', async () => {
    const limiter = new FixedWindowRateLimiter(new MemoryStorage());
    const slots = await Promise.all(Array.from({ length: 6 }, () => limiter.acquire(FIVE, ME)));
    expect(slots.map(({ allowed }) => allowed)).toEqual([true, true, true, true, true, false]);
    expect(slots[5]?.decision).toMatchObject({ remaining: 0, retryAfter: undefined });
    await slots[0]?.release();
    await slots[0]?.release();
    expect(await limiter.getWindowStats(FIVE, ...ME)).toMatchObject({ remaining: 1 });
    await slots[5]?.release();
    expect(await limiter.getWindowStats(FIVE, ...ME)).toMatchObject({ remaining: 1 });
  });

  it('releases its slot at the end of the block of an await using', async () => {
    const limiter = new FixedWindowRateLimiter(new MemoryStorage());
    const slot = await limiter.acquire('1 concurrent', ME);
    await slot[Symbol.asyncDispose]();
    expect((await limiter.acquire('1 concurrent', ME)).allowed).toBe(true);
  });

  it('takes a cost of n as n slots', async () => {
    const limiter = new FixedWindowRateLimiter(new MemoryStorage());
    const slot = await limiter.acquire(FIVE, ME, { cost: 3 });
    expect((await limiter.acquire(FIVE, ME, { cost: 3 })).allowed).toBe(false);
    expect((await limiter.acquire(FIVE, ME, { cost: 6 })).decision.retryAfter).toBe(Infinity);
    await slot.release();
    expect((await limiter.acquire(FIVE, ME, { cost: 5 })).allowed).toBe(true);
  });

  it('counts the other limits with it, all or none, and a release returns nothing of them', async () => {
    const limiter = new TokenBucketRateLimiter(new MemoryStorage(), { burst: 4 });
    const limits = '2/hour; 1 concurrent';
    const slot = await limiter.acquire(limits, ME);
    const refused = await limiter.acquire(limits, ME);
    expect(refused.decision.limits.map(({ allowed }) => allowed)).toEqual([true, false]);
    await slot.release();
    expect(await limiter.peek('2/hour', ...ME)).toMatchObject({ remaining: 3 });
  });

  it('counts the slots of limiters of any strategy together', async () => {
    const storage = new MemoryStorage();
    await new TokenBucketRateLimiter(storage).acquire('1 concurrent', ME);
    expect((await new FixedWindowRateLimiter(storage).acquire('1 concurrent', ME)).allowed).toBe(false);
  });

  it('needs slots among the limits', async () => {
    const limiter = new FixedWindowRateLimiter(new MemoryStorage());
    await expect(limiter.acquire('5/minute; 7/hour', ME)).rejects.toThrow(
      new ConfigurationError(
        'acquire takes slots, and "5 per 1 minute; 7 per 1 hour" has none. Add a limit such as "5 concurrent", or call consume.',
      ),
    );
  });

  it('waits for a release in this process, in the order of the calls', async () => {
    const limiter = new FixedWindowRateLimiter(new MemoryStorage());
    const first = await limiter.acquire('1 concurrent', ME);
    const order: string[] = [];
    const waiting = ['a', 'b'].map(async (name) => {
      const slot = await limiter.acquire('1 concurrent', ME, { maxWait: 60_000 });
      order.push(name);
      await slot.release();
    });
    await first.release();
    await Promise.all(waiting);
    expect(order).toEqual(['a', 'b']);
  });

  it('is refused after maxWait, also behind others who wait', async () => {
    const limiter = new FixedWindowRateLimiter(new MemoryStorage());
    await limiter.acquire('1 concurrent', ME);
    const waiting = [60, 20].map((maxWait) => limiter.acquire('1 concurrent', ME, { maxWait }));
    expect((await Promise.all(waiting)).map(({ allowed }) => allowed)).toEqual([false, false]);
  });

  it('does not wait for a cost above the amount', async () => {
    const limiter = new FixedWindowRateLimiter(new MemoryStorage());
    const { decision } = await limiter.acquire('1 concurrent', ME, { cost: 2, maxWait: 3_600_000 });
    expect(decision).toMatchObject({ allowed: false, retryAfter: Infinity });
  });

  it('stops waiting when its signal is aborted', async () => {
    const limiter = new FixedWindowRateLimiter(new MemoryStorage());
    await limiter.acquire('1 concurrent', ME);
    const controller = new AbortController();
    const waiting = limiter.acquire('1 concurrent', ME, { maxWait: 3_600_000, signal: controller.signal });
    controller.abort(new Error('gone'));
    await expect(waiting).rejects.toThrow('gone');
    await expect(limiter.acquire('1 concurrent', ME, { signal: controller.signal })).rejects.toThrow('gone');
  });

  it('rejects a maxWait that is not a number', async () => {
    const limiter = new FixedWindowRateLimiter(new MemoryStorage());
    await expect(limiter.acquire(FIVE, ME, { maxWait: NaN })).rejects.toThrow(RangeError);
  });
});

describe('A limit of concurrent requests', () => {
  const REFUSAL = new ConfigurationError(
    'The limit "5 concurrent" counts concurrent requests, whose slots are held until they are released. Take them with acquire: ' +
      'await using slot = await limiter.acquire(limits, identifiers).',
  );

  it('is refused by hit, consume, waitFor and a refund without a decision, which name acquire', async () => {
    const limiter = new FixedWindowRateLimiter(new MemoryStorage());
    for (const call of [
      () => limiter.hit(FIVE, ...ME),
      () => limiter.consume('5/minute; 5 concurrent', ...ME),
      () => limiter.waitFor(FIVE, ME),
      () => limiter.refund(FIVE, ...ME),
    ])
      await expect(async () => call()).rejects.toThrow(REFUSAL);
    expect(limiter.peek('5/minute', ...ME)).toMatchObject({ remaining: 5 });
  });

  it('is read and cleared like any other', async () => {
    const limiter = new FixedWindowRateLimiter(new MemoryStorage());
    await limiter.acquire('1 concurrent', ME);
    expect(limiter.test('1 concurrent', ...ME)).toBe(false);
    void limiter.clear('1 concurrent', ...ME);
    expect(limiter.test('1 concurrent', ...ME)).toBe(true);
  });

  it('is left alone when a decision is settled or refunded', async () => {
    const limiter = new FixedWindowRateLimiter(new MemoryStorage());
    const { decision } = await limiter.acquire('9/minute; 5 concurrent', ME);
    const settled = await limiter.settle(decision, 4);
    expect(settled.limits.map(({ remaining }) => remaining)).toEqual([5, 4]);
    await limiter.refund(decision);
    expect(limiter.peek('9/minute', ...ME)).toMatchObject({ remaining: 9 });
    expect(limiter.peek(FIVE, ...ME)).toMatchObject({ remaining: 4 });
  });

  it.each([
    [
      { amount: 100_001 },
      'The amount of the limit "slots" is 100001: each slot is remembered, and at most 100000 can be.',
    ],
    [
      { amount: 1, block: [1000] },
      'The block of the limit "slots" does not apply: slots of concurrent requests never block.',
    ],
    [
      { amount: 1, burst: 2 },
      'The burst of the limit "slots" is for the strategy "token-bucket" only, not for "concurrency".',
    ],
  ])('is rejected with %j', (options, message) => {
    expect(() => createLimit({ id: 'slots', strategy: 'concurrency', period: 1000, ...options })).toThrow(
      message,
    );
  });
});
