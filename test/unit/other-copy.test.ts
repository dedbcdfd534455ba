import { beforeAll, describe, expect, it, jest } from '@jest/globals';
import * as ours from 'nestjs-limits';
import { isFirstOf } from '../../lib/nest/options/rate-limit-key.js';
import { FallbackStorage } from '../../lib/resilience/fallback.storage.js';
import { CircuitBreakerStorage } from '../../lib/resilience/circuit-breaker.storage.js';
import { resolveResilience, type ResolvedResilience } from '../../lib/resilience/resilience.options.js';
import { resilient } from '../../lib/resilience/resilient-storage.js';
import { failureOf } from '../../lib/core/storage.js';

/**
 * A second copy of the package, as in an application that imports one copy and requires the other.
 */
let other: typeof ours;
beforeAll(async () => {
  jest.resetModules();
  other = await import('nestjs-limits');
});

const limit = ours.createLimit({ id: 'two', strategy: 'fixed-window', amount: 2, period: 60_000 });
const batch: ours.Hit[] = [{ identity: 'somebody', limit, cost: 1 }];
const nobody = { degraded: () => undefined, recovered: () => undefined };

function failingWith(error: Error): ours.MemoryStorage {
  const storage = new other.MemoryStorage();
  storage.consume = () => {
    throw error;
  };
  storage.check = () => false;
  return storage;
}

it('Of two copies, the classes differ', () => {
  expect(other.StorageError).not.toBe(ours.StorageError);
  expect(new other.MemoryStorage()).not.toBeInstanceOf(ours.MemoryStorage);
});

it('firstOf of the other copy is recognized', () => {
  expect(isFirstOf(other.firstOf('user', 'ip'))).toBe(true);
  expect([isFirstOf(['user', 'ip']), isFirstOf('ip'), isFirstOf(null)]).toEqual([false, false, false]);
});

describe('A storage of the other copy', () => {
  it('that fails is replaced by the fallback, and is not called after some failures', async () => {
    const told: string[] = [];
    const guarded = new CircuitBreakerStorage(
      failingWith(new other.StorageError('no power')),
      { timeout: 1000, failureThreshold: 2, failureWindow: 10_000, probeInterval: 60_000 },
      {
        failed: ({ message }) => told.push(`failed: ${message}`),
        degraded: ({ message }) => told.push(`degraded: ${message}`),
        recovered: () => told.push('recovered'),
      },
    );
    const storage = new FallbackStorage(guarded, { onError: 'fallback', instances: 1 });
    const results = [
      await storage.consume(batch),
      await storage.consume(batch),
      await storage.consume(batch),
      await storage.consume(batch),
    ];
    expect(results.map(({ allowed, degraded }) => [allowed, degraded])).toEqual([
      [true, 'fallback'],
      [true, 'fallback'],
      [false, 'fallback'],
      [false, 'fallback'],
    ]);
    expect(told.slice(0, 2)).toEqual(['failed: no power', 'failed: no power']);
    expect(told.at(-1)).toBe('degraded: no power');
    await guarded.close();
  });

  it('that lost races to other processes passes the check', async () => {
    const told: string[] = [];
    const guarded = new CircuitBreakerStorage(
      failingWith(new other.ConcurrentUpdateError('lost 16 races in a row')),
      { timeout: 1000, failureThreshold: 2, failureWindow: 10_000, probeInterval: 60_000 },
      { ...nobody, failed: () => told.push('failed'), degraded: () => told.push('degraded') },
    );
    for (let time = 0; time < 5; time++)
      await expect(guarded.consume(batch)).rejects.toThrow('lost 16 races in a row');
    expect(told).toEqual(Array(5).fill('failed'));
    await guarded.close();
  });

  it('that counts in this process needs no wrappers', () => {
    const options = resolveResilience() as ResolvedResilience;
    const memory = new other.MemoryStorage();
    expect(resilient(memory, options, nobody)).toBe(memory);
  });
});

describe('Errors of the other copy', () => {
  it('are passed on, and other errors become a failure of the storage', () => {
    const storage = new ours.MemoryStorage();
    for (const error of [new other.ConfigurationError('impossible'), new other.StorageError('no power')])
      expect(failureOf(storage, error)).toBe(error);
    for (const cause of [new Error('ECONNRESET'), Object.assign(new Error('E11000'), { code: 11000 })]) {
      const failure = failureOf(storage, cause);
      expect(failure).toEqual(new ours.StorageError(`MemoryStorage failed: ${cause.message}`));
      expect(failure.cause).toBe(cause);
    }
  });
});

describe('A decision of the other copy', () => {
  it('is refunded once, even by limiters of both copies', async () => {
    const storage = new ours.MemoryStorage();
    const limiter = new ours.FixedWindowRateLimiter(storage);
    const others = new other.FixedWindowRateLimiter(storage);
    const decision = await others.consume('5/minute', ['a'], { cost: 3 });
    await limiter.hit('5/minute', 'a');
    await limiter.refund(decision);
    await others.refund(decision);
    await limiter.refund(decision);
    expect(limiter.getWindowStats('5/minute', 'a')).toMatchObject({ remaining: 4 });
  });

  it('is settled by both copies from the cost that the other has set', async () => {
    const storage = new ours.MemoryStorage();
    const limiter = new ours.FixedWindowRateLimiter(storage);
    const others = new other.FixedWindowRateLimiter(storage);
    const decision = await limiter.consume('50/minute', ['a'], { cost: 3 });
    for (const [settling, actual] of [
      [others, 20],
      [limiter, 7],
      [others, 1],
      [limiter, 9],
    ] as const) {
      await settling.settle(decision, actual);
      expect(limiter.getWindowStats('50/minute', 'a')).toMatchObject({ remaining: 50 - actual });
    }
  });
});
