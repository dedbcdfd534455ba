import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { createLimit, StorageError, type Limit, type StrategyName } from 'nestjs-limits';
import { RedisStorage } from 'nestjs-limits/redis';
import { ManualClock } from 'nestjs-limits/testing';
import { startRedis } from '../support/servers/redis.js';
import type { Server } from '../support/servers/server-process.js';

/** Batches that share one call, and the records that a script writes. */

let server: Server;
let client: Redis;
let storage: RedisStorage;
const clock = new ManualClock(1_800_000_000_000);

beforeAll(async () => {
  server = await startRedis();
  client = new Redis(server.uri);
  storage = new RedisStorage(server.uri, { clock });
});
beforeEach(() => client.flushall());
afterAll(async () => {
  await storage.close();
  client.disconnect();
  await server.stop();
});

function limitOf(strategy: StrategyName, id: string = strategy, amount = 5): Limit {
  return createLimit({ id, strategy, amount, period: 60_000 });
}

const keyOf = (identity: string): string => `nestjs-limits:{${identity}}`;

/**
 * Hits the limit once for each identity, in one call. Returns whether each was allowed, or the
 * message of its error.
 */
async function hitAll(limit: Limit, identities: readonly string[]): Promise<(boolean | string)[]> {
  const hits = identities.map(async (identity) => storage.consume([{ identity, limit, cost: 1 }]));
  const results = await Promise.allSettled(hits);
  const info = await client.info('commandstats');
  expect(/cmdstat_evalsha:calls=(\d+)/.exec(info)?.[1]).toBe('1');
  return results.map((result) => {
    if (result.status === 'fulfilled') return result.value.allowed;
    expect(result.reason).toBeInstanceOf(StorageError);
    return (result.reason as Error).message;
  });
}

describe('an error of one batch of a call does not affect the other batches', () => {
  const identities = ['good', 'bad', 'good too'];
  const unreadable =
    'RedisStorage failed: A stored text cannot be read: does another program write under this keyPrefix?';

  async function prepare(limit: Limit): Promise<void> {
    await storage.consume([{ identity: 'earlier', limit, cost: 1 }]); // the server caches the script
    await client.config('RESETSTAT');
  }

  it.each(['fixed-window', 'moving-window', 'token-bucket', 'concurrency'] as const)(
    'a text that the library did not write (%s)',
    async (strategy) => {
      const limit = limitOf(strategy);
      await prepare(limit);
      await client.hset(keyOf('bad'), limit.digest, 'not ours');
      expect(await hitAll(limit, identities)).toEqual([true, unreadable, true]);
      const { outcomes } = await storage.peek(
        identities.filter((name) => name !== 'bad').map((identity) => ({ identity, limit, cost: 0 })),
      );
      expect(outcomes.map(({ remaining }) => remaining)).toEqual([4, 4]);
    },
  );

  it('a log of slots that the library did not write', async () => {
    const limit = limitOf('concurrency');
    await prepare(limit);
    for (const identity of identities) await storage.consume([{ identity, limit, cost: 1 }]);
    await client.hset(`${keyOf('bad')}:${limit.digest}`, 'not', 'ours');
    clock.advance(60_000); // looks at each slot
    await client.config('RESETSTAT');
    expect(await hitAll(limit, identities)).toEqual([true, unreadable, true]);
  });

  it('a key of another type', async () => {
    const limit = limitOf('fixed-window');
    await prepare(limit);
    await client.set(keyOf('bad'), 'not ours');
    expect(await hitAll(limit, identities)).toEqual([true, expect.stringContaining('WRONGTYPE'), true]);
  });

  it('a log of another type', async () => {
    const limit = limitOf('moving-window');
    await storage.consume([{ identity: 'bad', limit, cost: 1 }]);
    await prepare(limit);
    await client.set(`${keyOf('bad')}:${limit.digest}`, 'not ours');
    expect(await hitAll(limit, identities)).toEqual([true, expect.stringContaining('WRONGTYPE'), true]);
  });

  it('a server without memory, where another batch writes nothing', async () => {
    const limit = limitOf('fixed-window', 'once', 1);
    await storage.consume([{ identity: 'spent', limit, cost: 1 }]);
    await prepare(limit);
    await client.config('SET', 'maxmemory', '1');
    try {
      expect(await hitAll(limit, ['spent', 'fresh'])).toEqual([false, expect.stringContaining('OOM')]);
    } finally {
      await client.config('SET', 'maxmemory', '0');
    }
  });
});

describe('a batch', () => {
  it('of 64 limits, the most that one call decides, is decided by one call', async () => {
    const strategies = ['fixed-window', 'moving-window', 'token-bucket'] as const;
    const hits = Array.from({ length: 64 }, (_, index) => ({
      identity: `somebody ${index % 2}`,
      limit: limitOf(strategies[index % 3] ?? 'fixed-window', `limit ${index}`, index + 1),
      cost: 1,
    }));
    await storage.peek(hits);
    await storage.consume(hits);
    await client.config('RESETSTAT');
    const result = await storage.consume(hits);
    expect(result.allowed).toBe(false); // the first has an amount of 1
    expect(result.outcomes.map(({ remaining }) => remaining)).toEqual(hits.map((_, index) => index));
    expect(await client.info('commandstats')).toContain('cmdstat_evalsha:calls=1,');
  });

  it('is decided by one script per set of strategies, whatever the limits', async () => {
    await client.script('FLUSH');
    for (const ids of [['a'], ['b', 'c'], ['d', 'e', 'f']]) {
      await storage.consume(ids.map((id) => ({ identity: id, limit: limitOf('fixed-window', id), cost: 1 })));
    }
    expect(await client.info('memory')).toMatch(/^number_of_cached_scripts:1\r?$/m);
  });
});

describe('the stored text after two hits of 1 and 2, 1 s apart', () => {
  it.each([
    ['fixed-window', '1800000060000 3'],
    ['fixed-window-elastic-expiry', '1800000061000 3 61000'],
    ['moving-window', '1800000075000 1800000000000 0'],
    ['sliding-window-counter', '1800000120000 120000 3 0'],
    ['token-bucket', '1800000036000 175000 35000 5'],
  ] as const)('%s', async (strategy, text) => {
    const limit = limitOf(strategy);
    clock.set(1_800_000_000_000);
    await storage.consume([{ identity: 'somebody', limit, cost: 1 }]);
    clock.advance(1000);
    await storage.consume([{ identity: 'somebody', limit, cost: 2 }]);
    expect(await client.hgetall(keyOf('somebody'))).toEqual({ [limit.digest]: text });
    const log = await client.lrange(`${keyOf('somebody')}:${limit.digest}`, 0, -1);
    expect(log).toEqual(strategy === 'moving-window' ? ['0', '1', '1000', '3'] : []);
  });
});
