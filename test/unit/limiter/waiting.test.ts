import { describe, expect, it } from '@jest/globals';
import {
  FixedWindowRateLimiter,
  MemoryStorage,
  TokenBucketRateLimiter,
  WaitTimeoutError,
} from 'nestjs-limits';

/** A storage that counts its calls. */
class CountingStorage extends MemoryStorage {
  asked = 0;

  override consume(...args: Parameters<MemoryStorage['consume']>): ReturnType<MemoryStorage['consume']> {
    this.asked++;
    return super.consume(...args);
  }
}

describe('Waiting for a limit', () => {
  it('takes an allowed hit immediately', async () => {
    const limiter = new FixedWindowRateLimiter(new MemoryStorage());
    const decision = await limiter.waitFor('2/minute', ['a'], { cost: 2 });
    expect(decision).toMatchObject({ allowed: true, remaining: 0 });
  });

  it('takes a hit as soon as it is allowed', async () => {
    const storage = new CountingStorage();
    const limiter = new FixedWindowRateLimiter(storage);
    await limiter.hit('1/second', 'a');
    expect(await limiter.waitFor('1/second', ['a'])).toMatchObject({ allowed: true, remaining: 0 });
    // The hit, a refusal, and a success. A timer that fires up to a ms early adds a refusal.
    expect([3, 4]).toContain(storage.asked);
  });

  it('serves callers for the same limit in order, and calls the storage for the first only', async () => {
    const storage = new CountingStorage();
    const limiter = new TokenBucketRateLimiter(storage, { burst: 1 });
    const served: number[] = [];
    const waiting = Array.from({ length: 6 }, async (_, index) => {
      await limiter.waitFor('1 per 20 ms', ['a']);
      served.push(index);
    });
    await Promise.all(waiting);
    expect(served).toEqual([0, 1, 2, 3, 4, 5]);
    expect(storage.asked).toBeLessThanOrEqual(6 + 2 * 5); // timers may fire up to a ms early
  });

  it('does not delay callers for other limits', async () => {
    const limiter = new FixedWindowRateLimiter(new MemoryStorage());
    await limiter.hit('1/hour', 'a');
    const controller = new AbortController();
    const blocked = limiter.waitFor('1/hour', ['a'], { signal: controller.signal });
    expect((await limiter.waitFor('1/hour', ['b'])).allowed).toBe(true);
    const reason = new Error('no longer wanted');
    controller.abort(reason);
    await expect(blocked).rejects.toBe(reason);
  });

  it('throws as soon as maxWait is known to be too short, and takes nothing', async () => {
    const limiter = new FixedWindowRateLimiter(new MemoryStorage());
    await limiter.hit('2/hour', ['a'], { cost: 1 });
    const call = limiter.waitFor('2/hour', ['a'], { cost: 2, maxWait: 60_000 });
    await expect(call).rejects.toThrow(WaitTimeoutError);
    await expect(call).rejects.toThrow(
      /^A rate limit would have kept this waiting for longer than its maxWait of 60000 ms: another \d+ ms\.$/,
    );
    expect(limiter.getWindowStats('2/hour', 'a')).toMatchObject({ remaining: 1 });
  });

  it('throws when callers ahead take longer than maxWait, and these are still served', async () => {
    const limiter = new FixedWindowRateLimiter(new MemoryStorage());
    await limiter.hit('1/second', 'a');
    const first = limiter.waitFor('1/second', ['a']);
    const second = limiter.waitFor('1/second', ['a'], { maxWait: 50 });
    await expect(second).rejects.toThrow(
      'A rate limit would have kept this waiting for longer than its maxWait of 50 ms, behind others who wait.',
    );
    expect((await first).allowed).toBe(true);
  });

  it('stops when its signal is aborted, before and while it waits, and the next caller follows', async () => {
    const limiter = new FixedWindowRateLimiter(new MemoryStorage());
    await limiter.hit('1/second', 'a');
    const aborted = AbortSignal.abort(new Error('never wanted'));
    await expect(limiter.waitFor('1/second', ['a'], { signal: aborted })).rejects.toThrow('never wanted');

    const controller = new AbortController();
    const first = limiter.waitFor('1/second', ['a'], { signal: controller.signal });
    const second = limiter.waitFor('1/second', ['a']);
    const third = limiter.waitFor('1/second', ['a'], { signal: controller.signal });
    const given = Promise.allSettled([first, third]);
    controller.abort(new Error('no longer wanted'));
    expect((await second).allowed).toBe(true);
    expect((await given).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  });

  it('throws the reason of its signal, before, behind others and while it sleeps', async () => {
    const limiter = new FixedWindowRateLimiter(new MemoryStorage());
    await limiter.hit('1/hour', 'a');
    const reasons = [new Error('gone'), new Error('gone too'), 'not even an error'];
    const never = limiter.waitFor('1/hour', ['a'], { signal: AbortSignal.abort(reasons[0]) });
    await expect(never).rejects.toBe(reasons[0]);
    const [ahead, behind] = [new AbortController(), new AbortController()];
    const sleeps = limiter.waitFor('1/hour', ['a'], { signal: ahead.signal });
    const waits = limiter.waitFor('1/hour', ['a'], { signal: behind.signal });
    await new Promise(setImmediate);
    behind.abort(reasons[1]);
    await expect(waits).rejects.toBe(reasons[1]);
    ahead.abort(reasons[2]);
    await expect(sleeps).rejects.toBe(reasons[2]);
  });

  it.each<[unknown, string]>([
    [NaN, 'the number NaN'],
    [-1, 'the number -1'],
    [-Infinity, 'the number -Infinity'],
    ['5s', 'the string "5s"'],
    [null, 'null'],
  ])('throws for a maxWait of %p, and takes nothing', async (maxWait, said) => {
    const limiter = new FixedWindowRateLimiter(new MemoryStorage());
    const call = limiter.waitFor('1/hour', ['a'], { maxWait: maxWait as number });
    await expect(call).rejects.toThrow(
      new RangeError(`The maxWait of a hit must be a number of ms from 0; got ${said}.`),
    );
    expect(limiter.test('1/hour', 'a')).toBe(true);
  });

  it.each([undefined, 0, 0.5, Infinity])('takes an allowed hit with a maxWait of %p', async (maxWait) => {
    const limiter = new FixedWindowRateLimiter(new MemoryStorage());
    expect((await limiter.waitFor('1/hour', ['a'], { maxWait })).allowed).toBe(true);
  });

  it('never waits for a cost above the limit', async () => {
    const limiter = new FixedWindowRateLimiter(new MemoryStorage());
    await expect(limiter.waitFor('2/hour', ['a'], { cost: 3 })).rejects.toThrow(
      'The cost is more than the limit ever allows, so that no wait would help. Take a smaller cost or a larger burst.',
    );
  });
});
