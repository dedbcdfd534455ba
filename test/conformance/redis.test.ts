import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Cluster, Redis } from 'ioredis';
import { createLimit } from 'nestjs-limits';
import { RedisClusterStorage, RedisSentinelStorage, RedisStorage } from 'nestjs-limits/redis';
import { describeStorage } from 'nestjs-limits/testing';
import { parseStorageUri } from '../../lib/storages/storage-uri.js';
import { serverUri } from '../support/servers.js';

const uri = serverUri('REDIS') ?? '';
const clusterUri = serverUri('REDIS_CLUSTER') ?? '';
/** Long timeout, since the machine may be busy. */
const timeout = 20_000;

describeStorage('RedisStorage', { open: (options) => new RedisStorage(uri, { timeout, ...options }) });

describeStorage('RedisStorage over TLS', {
  open: (options) => {
    const ca = readFileSync(process.env['TEST_REDIS_TLS_CA'] ?? '');
    return new RedisStorage(serverUri('REDIS_TLS') ?? '', { timeout, ...options, tls: { ca } });
  },
});

describeStorage('RedisStorage over a socket file', {
  open: (options) => new RedisStorage(serverUri('REDIS_UNIX') ?? '', { timeout, ...options }),
});

describeStorage('RedisClusterStorage', {
  open: (options) => new RedisClusterStorage(clusterUri, { timeout, ...options }),
});

describeStorage('RedisSentinelStorage', {
  open: (options) => new RedisSentinelStorage(serverUri('REDIS_SENTINEL') ?? '', { timeout, ...options }),
});

describe.each([true, false])('a given client (duplicate: %s)', (duplicate) => {
  let client: Redis;
  beforeAll(() => {
    client = new Redis(uri);
  });
  afterAll(() => client.disconnect());

  describeStorage('RedisStorage', { open: (options) => new RedisStorage(client, { ...options, duplicate }) });

  it('still works when the storages on it are closed', async () => {
    expect(await client.ping()).toBe('PONG');
  });
});

describe.each([true, false])('a given cluster client (duplicate: %s)', (duplicate) => {
  let client: Cluster;
  beforeAll(() => {
    client = new Cluster([...parseStorageUri(clusterUri, '', 6379).hosts]);
  });
  afterAll(() => client.disconnect());

  it('counts for a storage, and still works when that is closed', async () => {
    const storage = new RedisClusterStorage(client, { keyPrefix: `given-${duplicate}`, duplicate });
    const limit = createLimit({ id: 'given', strategy: 'fixed-window', amount: 2, period: 60_000 });
    const hit = async (): Promise<boolean> =>
      (await storage.consume([{ identity: 'somebody', limit, cost: 1 }])).allowed;
    expect([await hit(), await hit(), await hit()]).toEqual([true, true, false]);
    await storage.close();
    expect(await client.ping()).toBe('PONG');
  });
});

describe('a given client with a keyPrefix', () => {
  it.each([
    ['RedisStorage', () => new Redis(uri, { keyPrefix: 'app:' })],
    [
      'RedisClusterStorage',
      () => new Cluster([...parseStorageUri(clusterUri, '', 6379).hosts], { keyPrefix: 'app:' }),
    ],
    [
      'RedisClusterStorage (redisOptions)',
      () =>
        new Cluster([...parseStorageUri(clusterUri, '', 6379).hosts], {
          redisOptions: { keyPrefix: 'app:' },
        }),
    ],
  ])('does not add it to the keys of a %s, so that reset finds all keys', async (_name, open) => {
    const client = open();
    const options = { keyPrefix: 'prefixed' };
    const storage =
      client instanceof Cluster
        ? new RedisClusterStorage(client, options)
        : new RedisStorage(client, options);
    const limit = createLimit({ id: 'prefixed', strategy: 'fixed-window', amount: 1, period: 60_000 });
    const hits = [{ identity: 'somebody', limit, cost: 1 }];
    expect((await storage.consume(hits)).allowed).toBe(true);
    expect(await storage.reset()).toBe(1);
    expect((await storage.peek(hits)).allowed).toBe(true);
    await storage.close();
    client.disconnect();
  });
});

describe('a given client that has not connected yet', () => {
  it.each([true, false])('is connected by the first storage on it (duplicate: %s)', async (duplicate) => {
    const client = new Redis(uri, { lazyConnect: true });
    const storage = new RedisStorage(client, { duplicate });
    expect(await storage.check()).toBe(true);
    expect(client.status).toBe(duplicate ? 'wait' : 'ready');
    await storage.close();
    client.disconnect();
  });
});

describe('after all tests', () => {
  it('no key of an identity lacks a time to live', async () => {
    const client = new Redis(uri);
    const eternal: string[] = [];
    let keys = 0;
    for await (const found of client.scanStream({ count: 1000 }) as AsyncIterable<string[]>) {
      keys += found.length;
      const lives = await Promise.all(found.map((key) => client.pttl(key)));
      eternal.push(...found.filter((_key, index) => lives[index] === -1));
    }
    client.disconnect();
    expect(keys).toBeGreaterThan(0);
    expect(eternal.filter((key) => !key.endsWith(':settings'))).toEqual([]);
  });
});
