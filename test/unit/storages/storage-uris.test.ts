import { inspect } from 'node:util';
import { expect, it } from '@jest/globals';
import { StorageError, storageFromString, type Storage } from 'nestjs-limits';

/** No server listens on this port. */
const NOWHERE = '127.0.0.1:1';

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
])('%s opens a %s, and a missing server is an error of the calls', async (uri = '', name) => {
  const storage = await storageFromString(uri);
  try {
    expect(String(storage)).toBe(name);
    await expect(Promise.resolve(storage.get('key'))).rejects.toThrow(StorageError);
    expect(await storage.check()).toBe(false);
  } finally {
    await storage.close();
  }
});

it.each([
  [`redis://us%40er:p%3A%2Fw@${NOWHERE}/3`, { host: '127.0.0.1', port: 1, db: 3 }],
  [`rediss://us%40er:p%3A%2Fw@${NOWHERE}`, { host: '127.0.0.1', port: 1, db: 0, tls: {} }],
  ['valkey+unix://us%40er:p%3A%2Fw@/no/such/socket?db=2', { path: '/no/such/socket', db: 2 }],
  [
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
])('%s gives the driver its credentials decoded, and shows none', async (uri, expected) => {
  const storage = await storageFromString(uri);
  try {
    expect(driverOptions(storage)).toMatchObject({ ...expected, username: 'us@er', password: 'p:/w' });
    await expectNoCredentials(storage);
  } finally {
    await storage.close();
  }
});

it('the credentials of a cluster are those of each of its servers', async () => {
  const storage = await storageFromString(`redis+cluster://us%40er:p%3A%2Fw@${NOWHERE}`);
  try {
    expect(driverOptions(storage)).toMatchObject({ redisOptions: { username: 'us@er', password: 'p:/w' } });
    await expectNoCredentials(storage);
  } finally {
    await storage.close();
  }
});

/** The options of the driver. */
function driverOptions(storage: Storage): object {
  return (storage as unknown as { client: { options: object } }).client.options;
}

async function expectNoCredentials(storage: Storage): Promise<void> {
  const error: unknown = await Promise.resolve(storage.get('key')).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(StorageError);
  expect(inspect([String(storage), error], { depth: 10, showHidden: true })).not.toMatch(/p:\/w|p%3A%2Fw/);
}
