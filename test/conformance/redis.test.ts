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

describeStorage('RedisStorage', { open: (options) => new RedisStorage(uri, options) });

describeStorage('RedisStorage over TLS', {
  open: (options) => {
    const ca = readFileSync(process.env['TEST_REDIS_TLS_CA'] ?? '');
    return new RedisStorage(serverUri('REDIS_TLS') ?? '', { ...options, tls: { ca } });
  },
});

describeStorage('RedisStorage over a socket file', {
  open: (options) => new RedisStorage(serverUri('REDIS_UNIX') ?? '', options),
});

describeStorage('RedisClusterStorage', { open: (options) => new RedisClusterStorage(clusterUri, options) });

describeStorage('RedisSentinelStorage', {
  open: (options) => new RedisSentinelStorage(serverUri('REDIS_SENTINEL') ?? '', options),
});

describe.each([true, false])('a given client (duplicate: %s)', (duplicate) => {
  let client: Redis;
  beforeAll(() => {
    client = new Redis(uri);
  });
  afterAll(() => client.disconnect());

  describeStorage('RedisStorage', { open: (options) => new RedisStorage(client, { ...options, duplicate }) });

  it('goes on serving when the storages on it are closed', async () => {
    expect(await client.ping()).toBe('PONG');
  });
});

describe.each([true, false])('a given cluster client (duplicate: %s)', (duplicate) => {
  let client: Cluster;
  beforeAll(() => {
    client = new Cluster([...parseStorageUri(clusterUri, '', 6379).hosts]);
  });
  afterAll(() => client.disconnect());

  it('counts for a storage, and goes on serving when that is closed', async () => {
    const storage = new RedisClusterStorage(client, { keyPrefix: `given-${duplicate}`, duplicate });
    const limit = createLimit({ id: 'given', strategy: 'fixed-window', amount: 2, period: 60_000 });
    const hit = async (): Promise<boolean> =>
      (await storage.consume([{ bucket: 'somebody', limit, cost: 1 }])).allowed;
    expect([await hit(), await hit(), await hit()]).toEqual([true, true, false]);
    await storage.close();
    expect(await client.ping()).toBe('PONG');
  });
});

describe('after all of this', () => {
  it('no key is left on the server without a time to live', async () => {
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
    expect(eternal).toEqual([]);
  });
});
