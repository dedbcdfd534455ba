import { inspect } from 'node:util';
import { expect, it } from '@jest/globals';
import { StorageError, storageFromString, type Storage } from 'nestjs-limits';
import {
  openCluster,
  openRedis,
  openSentinel,
  type RedisClient,
} from '../../../lib/storages/redis/redis-client.js';

/** No server listens on this port. */
const NOWHERE = '127.0.0.1:1';
const TIMEOUT_MS = 1000;

const openOne = (uri: string): RedisClient => openRedis(uri, {}, TIMEOUT_MS);

it.each([
  ...['redis', 'rediss', 'valkey', 'valkeys', 'async+redis'].map((scheme) => [
    `${scheme}://${NOWHERE}/1`,
    'RedisStorage',
  ]),
  ...['redis', 'valkey', 'async+redis'].map((scheme) => [
    `${scheme}+unix:///no/such/socket?db=1`,
    'RedisStorage',
  ]),
  ...['redis', 'valkey', 'rediss', 'valkeys', 'async+redis'].flatMap((scheme) => [
    [`${scheme}+cluster://${NOWHERE},${NOWHERE}`, 'RedisClusterStorage'],
    [`${scheme}+sentinel://${NOWHERE},${NOWHERE}/service`, 'RedisSentinelStorage'],
  ]),
  [`memcached://${NOWHERE},${NOWHERE}`, 'MemcachedStorage'],
  ['memcached:///no/such/socket', 'MemcachedStorage'],
  [`gaememcached://${NOWHERE}`, 'GAEMemcachedStorage'],
  [`mongodb://${NOWHERE}/limits`, 'MongoDBStorage'],
  [`async+mongodb://${NOWHERE}`, 'MongoDBStorage'],
  [`etcd://${NOWHERE},${NOWHERE}`, 'EtcdStorage'],
  [`postgres://${NOWHERE}/limits`, 'PostgreSQLStorage'],
  [`postgresql://${NOWHERE}/limits`, 'PostgreSQLStorage'],
])('%s opens a %s, and a missing server is an error of the calls', async (uri = '', name) => {
  const storage = await storageFromString(uri);
  try {
    expect(String(storage)).toBe(name);
    await expect(Promise.resolve(storage.get('key'))).rejects.toThrow(StorageError);
    expect(await storage.check()).toBe(false);
  } finally {
    await storage.close();
  }
  storage.reconnect(); // once it is closed, this opens no connection
  await expect(Promise.resolve(storage.get('key'))).rejects.toThrow('closed');
});

it.each([
  [openOne, `redis://us%40er:p%3A%2Fw@${NOWHERE}/3`, { host: '127.0.0.1', port: 1, db: 3 }],
  [openOne, `rediss://us%40er:p%3A%2Fw@${NOWHERE}`, { host: '127.0.0.1', port: 1, db: 0, tls: {} }],
  [openOne, 'valkey+unix://us%40er:p%3A%2Fw@/no/such/socket?db=2', { path: '/no/such/socket', db: 2 }],
  [
    (uri: string) => openSentinel(uri, undefined, {}, TIMEOUT_MS),
    `redis+sentinel://us%40er:p%3A%2Fw@${NOWHERE},[::1]:2/service/4`,
    {
      sentinels: [
        { host: '127.0.0.1', port: 1 },
        { host: '::1', port: 2 },
      ],
      name: 'service',
      db: 4,
    },
  ],
])('a URI gives the driver decoded credentials (%#)', (open, uri, expected) => {
  const client = open(uri);
  client.on('error', () => undefined);
  client.disconnect();
  expect(client.options).toMatchObject({ ...expected, username: 'us@er', password: 'p:/w' });
});

it('the credentials of a cluster are those of each of its servers', () => {
  const client = openCluster(`redis+cluster://us%40er:p%3A%2Fw@${NOWHERE}`, {}, TIMEOUT_MS);
  client.on('error', () => undefined);
  client.disconnect();
  expect(client.options).toMatchObject({ redisOptions: { username: 'us@er', password: 'p:/w' } });
});

it.each([
  `redis://us%40er:p%3A%2Fw@${NOWHERE}/3`,
  'valkey+unix://us%40er:p%3A%2Fw@/no/such/socket?db=2',
  `redis+sentinel://us%40er:p%3A%2Fw@${NOWHERE},[::1]:2/service/4`,
  `redis+cluster://us%40er:p%3A%2Fw@${NOWHERE}`,
])('the storage of %s shows no credentials', async (uri) => {
  const storage = await storageFromString(uri);
  try {
    await expectNoCredentials(storage);
  } finally {
    await storage.close();
  }
});

async function expectNoCredentials(storage: Storage): Promise<void> {
  const error: unknown = await Promise.resolve(storage.get('key')).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(StorageError);
  expect(inspect([String(storage), error], { depth: 10, showHidden: true })).not.toMatch(/p:\/w|p%3A%2Fw/);
}
