import { describe, expect, it } from '@jest/globals';
import { ConfigurationError } from 'nestjs-limits';
import {
  firstConnection,
  forgetCommand,
  openCluster,
  openRedis,
  openSentinel,
} from '../../../lib/storages/redis/redis-client.js';

const ONE_SERVER =
  'A RedisStorage needs exactly one server: redis://[user:password@]host:port[/db] or redis+unix://[user:password@]/path/to/socket[?db=1].';

describe('A URI of Redis', () => {
  it.each([
    'redis://first:6379,second:6379',
    'redis://',
    'redis:///1',
    'redis+unix://host/path',
    'redis+unix://',
  ])('names one server: "%s" does not', (uri) => {
    expect(() => openRedis(uri, {})).toThrow(new ConfigurationError(ONE_SERVER));
  });

  it.each(['redis://host:6379/one', 'redis://host:6379/-1', 'redis+unix:///socket?db=one'])(
    'names its database by number: "%s" does not',
    (uri) => {
      expect(() => openRedis(uri, {})).toThrow(
        /^The database of a Redis URI must be a number; got "(one|-1)"\.$/,
      );
    },
  );

  it('names a server of a cluster', () => {
    expect(() => openCluster('redis+cluster://', {})).toThrow(
      new ConfigurationError(
        'A RedisClusterStorage needs at least one server: redis+cluster://[user:password@]host:port,host:port.',
      ),
    );
  });

  it.each(['redis+sentinel://host:26379', 'redis+sentinel://host:26379/', 'redis+sentinel:///service'])(
    'names sentinels and their service: "%s" does not',
    (uri) => {
      expect(() => openSentinel(uri, undefined, {})).toThrow(
        new ConfigurationError(
          'A RedisSentinelStorage needs its sentinels and the name of the service: ' +
            'redis+sentinel://[user:password@]host:port,host:port/service[/db], or the option serviceName.',
        ),
      );
    },
  );
});

describe('A connection to Redis', () => {
  it.each([
    ['redis://host', { host: 'host', port: 6379, db: 0 }],
    ['redis://u:p%40ss@host:1/2', { host: 'host', port: 1, username: 'u', password: 'p@ss', db: 2 }],
    ['rediss://host', { host: 'host', tls: {} }],
    ['valkeys://host', { host: 'host', tls: {} }],
    ['redis+unix:///run/redis.sock?db=3', { path: '/run/redis.sock', db: 3 }],
  ])('is opened as "%s" says', (uri, expected) => {
    const client = openRedis(uri, { lazyConnect: true });
    expect(client.options).toMatchObject(expected);
    client.disconnect();
  });

  it('is opened as its options say rather than its URI', () => {
    const client = openRedis('redis://host:1/2', { lazyConnect: true, db: 5 });
    expect(client.options).toMatchObject({ host: 'host', port: 1, db: 5 });
    client.disconnect();
  });

  it('is to the primary of the service that the URI names, or the option', () => {
    const uri = 'redis+sentinel://u:p@one,two:5/primary/4';
    const [named, told] = [undefined, 'other'].map((name) => openSentinel(uri, name, { lazyConnect: true }));
    const sentinels = [
      { host: 'one', port: 26_379 },
      { host: 'two', port: 5 },
    ];
    expect(named?.options).toMatchObject({ sentinels, name: 'primary', username: 'u', password: 'p', db: 4 });
    expect(told?.options).toMatchObject({ sentinels, name: 'other' });
    named?.disconnect();
    told?.disconnect();
  });

  it('is waited for until it fails as well', async () => {
    const client = openRedis('redis://127.0.0.1:1', { lazyConnect: true, retryStrategy: () => null });
    const settled = firstConnection(client);
    await expect(client.connect()).rejects.toThrow('Connection is closed.');
    expect(await settled).toBeUndefined();
    expect(['ready', 'error', 'close', 'end'].map((event) => client.listenerCount(event))).toEqual([
      0, 0, 0, 0,
    ]);
  });
});

it('An error forgets its command, and the one that it was caused by does', () => {
  const lastNodeError = Object.assign(new Error('node'), { command: { name: 'auth', args: ['secret'] } });
  const error = Object.assign(new Error('cluster'), { command: { name: 'auth' }, lastNodeError });
  forgetCommand(error);
  forgetCommand('no error');
  expect(error).not.toHaveProperty('command');
  expect(lastNodeError).not.toHaveProperty('command');
});
