import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { createLimit, type Hit, type Limit, type StrategyName } from 'nestjs-limits';
import { RedisStorage } from 'nestjs-limits/redis';
import { receiptsOf, withdrawn } from '../../lib/core/contract.js';
import { startRedis } from '../support/servers/redis.js';
import type { Server } from '../support/servers/server-process.js';

/** The cost of requests on a Redis server, in commands and in bytes. */

let server: Server;
let client: Redis;
let storage: RedisStorage;

beforeAll(async () => {
  server = await startRedis();
  client = new Redis(server.uri);
  storage = new RedisStorage(server.uri);
});

afterAll(async () => {
  await storage.close();
  client.disconnect();
  await server.stop();
});

const strategies: readonly StrategyName[] = [
  'fixed-window',
  'fixed-window-elastic-expiry',
  'moving-window',
  'sliding-window-counter',
  'token-bucket',
];

function limitOf(strategy: StrategyName, id: string = strategy, amount = 1000): Limit {
  return createLimit({ id, strategy, amount, period: 3_600_000 });
}

function hit(limit: Limit, identity = 'somebody'): Hit {
  return { identity, limit, cost: 1 };
}

describe('commands', () => {
  const three = ['fixed-window', 'moving-window', 'token-bucket'] as const;
  const batches: Record<string, readonly Hit[]> = {
    ...Object.fromEntries(strategies.map((strategy) => [`one ${strategy} limit`, [hit(limitOf(strategy))]])),
    'three limits': three.map((strategy) => hit(limitOf(strategy))),
    'three limits of two identities': three.map((strategy, index) =>
      hit(limitOf(strategy), index === 0 ? 'everybody' : 'somebody'),
    ),
  };

  it.each(Object.entries(batches))('one call decides a request of %s', async (_title, batch) => {
    await storage.consume(batch); // the server caches the script
    await client.config('RESETSTAT');
    await storage.consume(batch);
    expect(await callsFromClients(client)).toEqual({ evalsha: 1 });
  });

  it('one call decides 64 concurrent requests', async () => {
    const limit = limitOf('fixed-window', 'at once');
    await storage.consume([hit(limit)]);
    await client.config('RESETSTAT');
    const results = await Promise.all(
      Array.from({ length: 64 }, (_, index) => storage.consume([hit(limit, `somebody ${index % 4}`)])),
    );
    expect(results.filter(({ allowed }) => allowed)).toHaveLength(64);
    expect(await callsFromClients(client)).toEqual({ evalsha: 1 });
  });
});

describe('bytes of a key with a time to live, its name 30 bytes long', () => {
  const key = 'limits:{user/1234567890abcdef}';
  let short: RedisStorage;

  beforeAll(() => {
    short = new RedisStorage(server.uri, { keyPrefix: 'limits' });
  });
  beforeEach(() => client.flushall());
  afterAll(() => short.close());

  async function bytesAfter(limits: readonly Limit[], hits = 1): Promise<number> {
    const batch = limits.map((limit) => hit(limit, 'user/1234567890abcdef'));
    for (let count = 0; count < hits; count++) await short.consume(batch);
    const keys = await client.keys('*');
    expect(keys).toContain(key);
    let bytes = 0;
    for (const each of keys) {
      expect(await client.pttl(each)).toBeGreaterThan(0);
      bytes += Number(await client.memory('USAGE', each, 'SAMPLES', 0));
    }
    return bytes;
  }

  it.each(strategies.filter((strategy) => strategy !== 'moving-window'))(
    'one %s limit takes at most 140',
    async (strategy) => {
      expect(await bytesAfter([limitOf(strategy)], 2)).toBeLessThanOrEqual(140);
    },
  );

  it('four limits of different strategies take at most 250', async () => {
    const counters = strategies.filter((strategy) => strategy !== 'moving-window');
    expect(
      await bytesAfter(
        counters.map((strategy) => limitOf(strategy)),
        2,
      ),
    ).toBeLessThanOrEqual(250);
  });

  it.each([
    ['fixed-window', 250],
    ['fixed-window-elastic-expiry', 250],
    ['sliding-window-counter', 250],
    ['token-bucket', 264], // five numbers each
  ] as const)('four %s limits take at most %i', async (strategy, bytes) => {
    const limits = [1, 2, 3, 4].map((index) => limitOf(strategy, `${strategy} ${index}`));
    expect(await bytesAfter(limits, 2)).toBeLessThanOrEqual(bytes);
  });

  it('a moving window of 1,000 hits takes at most 11,000', async () => {
    expect(await bytesAfter([limitOf('moving-window')], 1000)).toBeLessThanOrEqual(11_000);
  });
});

describe('permissions', () => {
  it('from the documentation are enough for every method of a storage', async () => {
    const [, commands = '', keys = ''] =
      /^`(\+eval [^`]+)`\non `(~[^`]+)`/m.exec(readFileSync('docs/storages/redis.md', 'utf8')) ?? [];
    await client.call('ACL', 'SETUSER', 'limits', 'on', '>secret', '-@all', ...commands.split(' '), keys);
    const permitted = new RedisStorage(server.uri.replace('//', '//limits:secret@'));
    const batch = strategies.map((strategy) => hit(limitOf(strategy, strategy, 2), 'permitted'));

    expect((await permitted.consume(batch)).allowed).toBe(true);
    const result = await permitted.consume(batch);
    expect(result.allowed).toBe(true);
    expect((await permitted.consume(batch)).allowed).toBe(false);
    await permitted.settle(withdrawn(receiptsOf(result)));
    expect((await permitted.peek(batch)).allowed).toBe(true);
    for (const one of strategies) {
      const alone = [hit(limitOf(one, `${one} alone`), 'permitted')];
      expect((await permitted.consume(alone)).allowed).toBe(true);
    }
    await permitted.remove(batch.slice(1));
    expect(await permitted.check()).toBe(true);
    expect(await permitted.reset()).toBe(1);
    await permitted.close();
  });
});

/**
 * Returns the number of calls by clients, per command. Excludes calls of scripts and of the test
 * itself.
 */
async function callsFromClients(monitor: Redis): Promise<Record<string, number>> {
  const info = await monitor.info('commandstats');
  const all = [...info.matchAll(/cmdstat_(\S+?):calls=(\d+)/g)].map(
    ([, command = '', calls]) => [command, Number(calls)] as const,
  );
  return Object.fromEntries(
    all.filter(([command]) => /^(eval|fcall|multi|exec|script|hello|client)/.test(command)),
  );
}
