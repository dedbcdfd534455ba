import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Etcd3 } from 'etcd3';
import { Redis } from 'ioredis';
import { createLimit, type Hit, type Storage, type StorageOptions } from 'nestjs-limits';
import { EtcdStorage } from 'nestjs-limits/etcd';
import { MemcachedStorage } from 'nestjs-limits/memcached';
import { RedisStorage } from 'nestjs-limits/redis';
import { ManualClock } from 'nestjs-limits/testing';
import { strategyNames } from '../../lib/strategies/strategies.js';
import { calendarOf } from '../support/strategies.js';
import { startEtcd } from '../support/servers/etcd.js';
import { startMemcached } from '../support/servers/memcached.js';
import { startRedis } from '../support/servers/redis.js';
import { ask, type Server } from '../support/servers/server-process.js';

/**
 * The exact keys and records. During a rolling update, instances of two versions count together. A
 * change of a key or record here breaks that.
 */

const NOW = 4_000_000_000_000; // far in the future, so that nothing expires by a server's clock
const HOUR = 3_600_000;

const batch: Hit[] = [
  ...strategyNames.map((strategy) => ({
    identity: 'key:somebody',
    limit: createLimit({
      id: strategy,
      strategy,
      amount: 10,
      period: HOUR,
      calendar: calendarOf(strategy, 'year'),
    }),
    cost: 2,
  })),
  {
    identity: 'key:somebody',
    limit: createLimit({
      id: 'blocking',
      strategy: 'fixed-window',
      amount: 1,
      period: HOUR,
      mode: 'shadow',
      block: [HOUR],
    }),
    cost: 1,
  },
];

/** The records after two hits in two ms. */
async function hitTwice(open: (options: StorageOptions) => Storage): Promise<void> {
  const clock = new ManualClock(NOW);
  const storage = open({ clock, keyPrefix: 'records' });
  await storage.consume(batch);
  clock.advance(1);
  await storage.consume(batch);
  await storage.close();
}

/** The records of Memcached, etcd and every other `CasStorage`. */
const TEXT = JSON.stringify({
  '5zQwb0oY': [4000003600000, 4, 4000003600000],
  APbCxh0g: [4000003600001, 4, 4000000000000, 4000003600001],
  '0y33gJZY': [4007836800000, 4, 4007836800000],
  gLeYSrC5: [4000003600001, 4000000000000, 2, 4000000000001, 2],
  BtD8VCpl: [4000007200000, 0, 4, 4000000000000],
  luVmQOHz: [4000001440000, 14399990, 4000000000001, 10],
  '0bkt4tIH': [
    4000003600001, 4000000000001, 4000000000001, 4000000000000, 4000003600000, 2, 4000000000001,
    4000003600001, 2,
  ],
  Wpz0DHsq: [4000003600000, 1, 4000003600000],
  'Wpz0DHsq!': [4000007200001, 4000003600001, 0, 1],
});

let servers: Record<'redis' | 'memcached' | 'etcd', Server>;

beforeAll(async () => {
  const [redis, memcached, etcd] = await Promise.all([startRedis(), startMemcached(), startEtcd()]);
  servers = { redis, memcached, etcd };
});

afterAll(() => Promise.all(Object.values(servers).map((server) => server.stop())));

describe('After two hits on limits of every strategy', () => {
  it('Redis holds a hash of the identity, a list of its moving window and a hash of its slots', async () => {
    const { uri } = servers.redis;
    await hitTwice((options) => new RedisStorage(uri, options));
    const client = new Redis(uri);
    const keys = (await client.keys('*')).sort();
    const hash = await client.hgetall('records:{key:somebody}');
    const list = await client.lrange('records:{key:somebody}:gLeYSrC5', 0, -1);
    const slots = await client.hgetall('records:{key:somebody}:0bkt4tIH');
    client.disconnect();
    expect(keys).toEqual([
      'records:{key:somebody}',
      'records:{key:somebody}:0bkt4tIH',
      'records:{key:somebody}:gLeYSrC5',
    ]);
    expect(hash).toEqual({
      '5zQwb0oY': '4000003600000 4',
      APbCxh0g: '4000003600001 4 3600001',
      '0y33gJZY': '4007836800000 4',
      gLeYSrC5: '4000004500000 4000000000000 0',
      BtD8VCpl: '4000007200000 7200000 4 0',
      luVmQOHz: '4000001440000 14399990 1439999 10',
      '0bkt4tIH': '4000003600001 4000000000001 4000000000001 4 4000003600000',
      Wpz0DHsq: '4000003600000 1',
      'Wpz0DHsq!': '4000007200001 4000003600001 0 1',
    });
    expect(list).toEqual(['0', '2', '1', '4']);
    expect(slots).toEqual({ 4000000000000: '4000003600000 2', 4000000000001: '4000003600001 2' });
  });

  it('Memcached holds a text of the identity', async () => {
    const { uri, port } = servers.memcached;
    await hitTwice((options) => new MemcachedStorage(uri, options));
    const [header = '', text] = (await ask(port, 'get records:{key:somebody}\r\n')).split('\r\n');
    expect(header).toMatch(/^VALUE records:\{key:somebody\} 0 /);
    expect(text).toBe(TEXT);
  });

  it('etcd holds a text of the identity', async () => {
    const { uri } = servers.etcd;
    await hitTwice((options) => new EtcdStorage(uri, options));
    const client = new Etcd3({ hosts: uri.replace('etcd', 'http') });
    const texts = await client.getAll().strings();
    client.close();
    expect(texts).toEqual({ 'records:{key:somebody}': TEXT });
  });
});
