import { describe, expect, it } from '@jest/globals';
import { CasStorage, FixedWindowRateLimiter, StorageError, type VersionedText } from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';

/** A store that responds later, or not at all. */
class LateStorage extends CasStorage<number> {
  readonly failure = new Error('connection lost');
  broken = false;
  readonly #texts = new Map<string, VersionedText<number>>();

  protected async read(key: string): Promise<VersionedText<number> | undefined> {
    if (this.broken) throw this.failure;
    return this.#texts.get(key);
  }

  protected async compareAndSet(key: string, text: string, version?: number): Promise<boolean> {
    if (this.#texts.get(key)?.version !== version) return false;
    this.#texts.set(key, { text, version: (version ?? 0) + 1 });
    return true;
  }

  protected probe(): void {
    if (this.broken) throw this.failure;
  }

  protected removeAll(): number {
    return 0;
  }
}

describe('A limiter on an asynchronous storage', () => {
  const clock = new ManualClock();

  it('returns promises of the same results', async () => {
    const limiter = new FixedWindowRateLimiter(new LateStorage({ clock }));
    const hit = limiter.hit('3/minute', 'a');

    expect(hit).toBeInstanceOf(Promise);
    expect(await hit).toBe(true);
    const decision = await limiter.consume('3/minute', ['a'], { cost: 2 });
    expect(decision).toMatchObject({ allowed: true, remaining: 0 });
    expect(await limiter.test('3/minute', 'a')).toBe(false);
    expect(await limiter.peek('3/minute', 'a')).toMatchObject({ allowed: false, retryAfter: 60_000 });

    await Promise.all([limiter.refund(decision), limiter.refund(decision)]);
    expect(await limiter.getWindowStats('3/minute', 'a')).toEqual({
      remaining: 2,
      resetTime: clock.now() + 60_000,
    });
    await limiter.clear('3/minute', 'a');
    expect(await limiter.getWindowStats('3/minute', 'a')).toEqual({ remaining: 3, resetTime: clock.now() });
  });

  it('rejects with the error of the storage', async () => {
    const storage = new LateStorage({ clock });
    const limiter = new FixedWindowRateLimiter(storage);
    storage.broken = true;

    for (const method of ['hit', 'test', 'consume', 'peek', 'getWindowStats', 'refund', 'clear'] as const) {
      await expect(limiter[method]('3/minute', 'a')).rejects.toThrow(
        new StorageError('LateStorage failed: connection lost', { cause: storage.failure }),
      );
    }
  });

  it('throws errors of the caller synchronously', () => {
    const limiter = new FixedWindowRateLimiter(new LateStorage({ clock }));

    expect(() => limiter.hit('3 minutes', 'a')).toThrow('Cannot read the rate limit "3 minutes"');
    expect(() => limiter.hit('3/minute', ['a'], { cost: -1 })).toThrow(RangeError);
  });
});
