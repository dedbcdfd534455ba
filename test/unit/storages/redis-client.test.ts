import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { describe, expect, it } from '@jest/globals';
import { Cluster, Redis, type ClusterOptions, type RedisOptions } from 'ioredis';
import { ConfigurationError } from 'nestjs-limits';
import {
  copyCluster,
  copyRedis,
  firstConnection,
  forgetCommand,
  openCluster,
  openRedis,
  openSentinel,
  type RedisClient,
} from '../../../lib/storages/redis/redis-client.js';

const SERVER =
  'redis://[user:password@]host:port[/db] (rediss:// for TLS) or redis+unix://[user:password@]/path/to/socket[?db=1]';
const CLUSTER = 'redis+cluster://[user:password@]host:port,host:port (rediss+cluster:// for TLS)';
const SENTINELS =
  'redis+sentinel://[user:password@]host:port,host:port/service[/db] (rediss+sentinel:// for TLS)';

/** No server listens on this port. */
const NOWHERE = '127.0.0.1:1';

/** The options of a client. */
function optionsOf<C extends RedisClient>(client: C): C['options'] {
  client.disconnect();
  return client.options;
}

describe('A URI of Redis', () => {
  it.each(['redis://first:6379,second:6379', 'redis://', 'redis:///1', 'redis+unix://'])(
    'names one server: "%s" does not',
    (uri) => {
      expect(() => openRedis(uri, {}, 1000)).toThrow(
        new ConfigurationError(`A RedisStorage needs exactly one server: ${SERVER}.`),
      );
    },
  );

  it.each(['redis://host:6379/one', 'redis://host:6379/-1', 'redis+unix:///socket?db=one'])(
    'names its database by number: "%s" does not',
    (uri) => {
      expect(() => openRedis(uri, {}, 1000)).toThrow(
        /^The database of a Redis URI must be a number; got "(one|-1)"\.$/,
      );
    },
  );

  it.each([
    ['RedisStorage', 'redis://host?tls=true', 'tls', openRedis],
    ['RedisStorage', 'redis+unix:///socket?database=3', 'database', openRedis],
    ['RedisClusterStorage', 'redis+cluster://host?tls=true', 'tls', openCluster],
  ])('of a %s throws for options without effect: %s', (name, uri, option, open) => {
    expect(() => open(uri, {}, 1000)).toThrow(
      new ConfigurationError(
        `A ${name} takes no "?${option}=" in its URI. Give it as an option; for TLS, begin the URI with "rediss".`,
      ),
    );
  });

  it('of sentinels has no options, and nothing after the database', () => {
    expect(() => openSentinel('redis+sentinel://host/service?tls=true', undefined, {}, 1000)).toThrow(
      'A RedisSentinelStorage takes no "?tls=" in its URI.',
    );
    expect(() => openSentinel('redis+sentinel://host/service/1/more', undefined, {}, 1000)).toThrow(
      ConfigurationError,
    );
  });

  it('of a cluster has no database', () => {
    expect(() => openCluster('redis+cluster://host/1', {}, 1000)).toThrow(
      new ConfigurationError(`A RedisClusterStorage has no databases to choose from: ${CLUSTER}.`),
    );
  });

  it('names a server of a cluster', () => {
    expect(() => openCluster('redis+cluster://', {}, 1000)).toThrow(
      new ConfigurationError(`A RedisClusterStorage needs at least one server: ${CLUSTER}.`),
    );
  });

  it.each(['redis+sentinel://host:26379', 'redis+sentinel://host:26379/', 'redis+sentinel:///service'])(
    'names sentinels and their service: "%s" does not',
    (uri) => {
      expect(() => openSentinel(uri, undefined, {}, 1000)).toThrow(
        new ConfigurationError(
          `A RedisSentinelStorage needs its sentinels and the name of the service: ${SENTINELS}, or the option serviceName.`,
        ),
      );
    },
  );

  const openers: [name: string, form: string, open: (uri: string) => RedisClient, foreign: string[]][] = [
    [
      'RedisStorage',
      SERVER,
      (uri) => openRedis(uri, {}, 1000),
      ['http', 'redis+cluster', 'rediss+cluster', 'redis+sentinel', 'rediss+unix', 'redisss', 'mongodb'],
    ],
    [
      'RedisClusterStorage',
      CLUSTER,
      (uri) => openCluster(uri, {}, 1000),
      ['https', 'redis', 'rediss', 'valkeys', 'redis+unix', 'redis+sentinel', 'redis+clusters'],
    ],
    [
      'RedisSentinelStorage',
      SENTINELS,
      (uri) => openSentinel(uri, undefined, {}, 1000),
      ['tls', 'redis', 'rediss', 'valkeys', 'redis+cluster', 'rediss+cluster', 'redis+sentinels'],
    ],
  ];
  describe.each(openers)('of a %s', (name, form, open, foreign) => {
    it.each(foreign)('throws with %s://, and its credentials are not shown', (scheme) => {
      expect(() => open(`${scheme}://user:secret@${NOWHERE}/service`)).toThrow(
        new ConfigurationError(`A ${name} needs a URI of the form ${form}; got one with "${scheme}://".`),
      );
    });
  });
});

describe('A connection to Redis', () => {
  it.each([
    ['redis://host', { host: 'host', port: 6379, db: 0 }],
    ['redis://u:p%40ss@host:1/2', { host: 'host', port: 1, username: 'u', password: 'p@ss', db: 2 }],
    ['rediss://host', { host: 'host', tls: {} }],
    ['valkeys://host', { host: 'host', tls: {} }],
    ['redis+unix:///run/redis.sock?db=3', { path: '/run/redis.sock', db: 3 }],
  ])('has the options of the URI "%s"', (uri, expected) => {
    expect(optionsOf(openRedis(uri, {}, 1000))).toMatchObject(expected);
  });

  it('has its options instead of those of the URI, and ignores undefined ones', () => {
    const options = optionsOf(openRedis('redis://u@host:1/2', { db: 5, username: undefined }, 1000));
    expect(options).toMatchObject({ host: 'host', port: 1, db: 5, username: 'u' });
  });

  it('is to the primary of the service in the URI, or in the option', () => {
    const uri = `redis+sentinel://u:p@127.0.0.1,${NOWHERE}/primary/4`;
    const [named, told] = [undefined, 'other'].map((name) => optionsOf(openSentinel(uri, name, {}, 1000)));
    const sentinels = [
      { host: '127.0.0.1', port: 26_379 },
      { host: '127.0.0.1', port: 1 },
    ];
    expect(named).toMatchObject({ sentinels, name: 'primary', username: 'u', password: 'p', db: 4 });
    expect(told).toMatchObject({ sentinels, name: 'other' });
  });

  it.each<[what: string, client: () => RedisClient]>([
    [
      'a server',
      () => new Redis({ port: 1, lazyConnect: true, retryStrategy: () => null }).on('error', () => undefined),
    ],
    [
      'a cluster',
      () =>
        new Cluster([{ host: '127.0.0.1', port: 1 }], {
          lazyConnect: true,
          clusterRetryStrategy: () => null,
        }).on('error', () => undefined),
    ],
  ])(
    'that waits for its first command is started, and awaited until it fails: to %s',
    async (_what, open) => {
      const client = open();
      const events = ['ready', 'error', 'close', 'end'];
      const before = events.map((event) => client.listenerCount(event));
      expect(client.status).toBe('wait');
      expect(await firstConnection(client)).toBeUndefined();
      expect(client.status).not.toBe('wait');
      if (client.status !== 'end') await once(client, 'end'); // listeners of the driver itself are no leak
      expect(events.map((event) => client.listenerCount(event))).toEqual(before);
    },
  );

  it('that has ended is not awaited', async () => {
    const client = new Redis({ lazyConnect: true });
    client.disconnect();
    expect(client.status).toBe('end');
    expect(await firstConnection(client)).toBeUndefined();
  });
});

describe('TLS', () => {
  const tls = { ca: 'certificate' };

  it.each(['rediss+cluster', 'valkeys+cluster'])(
    '%s:// is used for all servers of a cluster, by name',
    (scheme) => {
      const options = optionsOf(openCluster(`${scheme}://u:p@${NOWHERE}`, {}, 1000));
      expect(options.redisOptions).toMatchObject({ tls: {}, username: 'u', password: 'p' });
      expect(resolvedBy(options)).toBe('name');
    },
  );

  it('is used for a cluster if the options have it, whatever the scheme', () => {
    const lookedUp: ClusterOptions['dnsLookup'] = (_name, callback) => callback(null, 'address');
    for (const scheme of ['redis+cluster', 'rediss+cluster']) {
      const options = { redisOptions: { tls }, dnsLookup: lookedUp };
      const opened = optionsOf(openCluster(`${scheme}://${NOWHERE}`, options, 1000));
      expect(opened.redisOptions).toMatchObject({ tls });
      expect(resolvedBy(opened)).toBe('address');
    }
  });

  it.each(['rediss+sentinel', 'valkeys+sentinel'])(
    '%s:// is used for the sentinels and the servers, with one certificate unless there are two',
    (scheme) => {
      const opened = [{}, { tls }, { tls, sentinelTLS: { ca: 'other' } }].map((options) =>
        tlsOf(optionsOf(openSentinel(`${scheme}://${NOWHERE}/service`, undefined, options, 1000))),
      );
      expect(opened).toEqual([
        { tls: {}, sentinelTLS: {}, enableTLSForSentinelMode: true },
        { tls, sentinelTLS: tls, enableTLSForSentinelMode: true },
        { tls, sentinelTLS: { ca: 'other' }, enableTLSForSentinelMode: true },
      ]);
    },
  );

  it('in the options is also used for the server that sentinels name', () => {
    const opened = [{}, { tls }].map((options) =>
      tlsOf(optionsOf(openSentinel(`redis+sentinel://${NOWHERE}/service`, undefined, options, 1000))),
    );
    expect(opened).toEqual([
      { tls: undefined, sentinelTLS: undefined, enableTLSForSentinelMode: false },
      { tls, sentinelTLS: undefined, enableTLSForSentinelMode: true },
    ]);
  });

  it.each<[scheme: string, open: (port: number) => RedisClient]>([
    ['rediss', (port) => openRedis(`rediss://u:secret@127.0.0.1:${port}`, {}, 1000)],
    ['rediss+cluster', (port) => openCluster(`rediss+cluster://u:secret@127.0.0.1:${port}`, {}, 1000)],
    [
      'rediss+sentinel',
      (port) => {
        const options = { sentinelPassword: 'secret' };
        return openSentinel(`rediss+sentinel://u:secret@127.0.0.1:${port}/service`, undefined, options, 1000);
      },
    ],
  ])('%s:// sends nothing before the handshake', async (_scheme, open) => {
    const sniffer = createServer().listen(0, '127.0.0.1');
    await once(sniffer, 'listening');
    const client = open((sniffer.address() as AddressInfo).port);
    client.on('error', () => undefined);
    const sockets: Socket[] = [];
    sniffer.on('connection', (socket) => sockets.push(socket.on('error', () => undefined)));
    const [socket] = (await once(sniffer, 'connection')) as [Socket];
    const [sent] = (await once(socket, 'data')) as [Buffer];
    expect(sent[0]).toBe(0x16); // a record of the handshake
    expect(sent.includes('secret')).toBe(false);
    client.disconnect();
    for (const each of sockets) each.destroy();
    sniffer.close();
  });

  function tlsOf({ tls, sentinelTLS, enableTLSForSentinelMode }: RedisOptions): object {
    return { tls, sentinelTLS, enableTLSForSentinelMode };
  }

  function resolvedBy({ dnsLookup }: ClusterOptions): string | undefined {
    let found: string | undefined;
    dnsLookup?.('name', (_error, address) => (found = address));
    return found;
  }
});

describe('A timeout', () => {
  const sentinels = `redis+sentinel://${NOWHERE}/service`;
  const lazy = new Redis({ lazyConnect: true, commandTimeout: 9, connectTimeout: 9 });

  it.each<[what: string, open: (options: RedisOptions) => RedisOptions | undefined]>([
    ['a server', (options) => optionsOf(openRedis(`redis://${NOWHERE}`, options, 300))],
    ['a copied client', (options) => optionsOf(copyRedis(lazy, options, 300))],
    ['a sentinel', (options) => optionsOf(openSentinel(sentinels, undefined, options, 300))],
    [
      'a server of a cluster',
      (redisOptions) =>
        optionsOf(openCluster(`redis+cluster://${NOWHERE}`, { redisOptions }, 300)).redisOptions,
    ],
  ])('applies to commands and connections to %s, unless these have their own', (_what, open) => {
    const given = { commandTimeout: 1, connectTimeout: 2, sentinelCommandTimeout: 3 };
    expect(open({})).toMatchObject({
      commandTimeout: 300,
      connectTimeout: 300,
      sentinelCommandTimeout: 300,
    });
    expect(open(given)).toMatchObject(given);
  });

  it('applies to the discovery of the servers of a cluster, unless it has its own', () => {
    const uri = `redis+cluster://${NOWHERE}`;
    expect(optionsOf(openCluster(uri, {}, 300)).slotsRefreshTimeout).toBe(300);
    expect(optionsOf(openCluster(uri, { slotsRefreshTimeout: 5 }, 300)).slotsRefreshTimeout).toBe(5);
  });
});

describe('A copy of a given client', () => {
  it("has the client's options, but neither waits for a command nor has its prefix", () => {
    const client = new Redis({ port: 1, db: 3, lazyConnect: true, keyPrefix: 'app:' });
    const copy = copyRedis(client, { db: 4 }, 1000);
    expect(copy.status).toBe('connecting');
    expect(optionsOf(copy)).toMatchObject({
      port: 1,
      db: 4,
      lazyConnect: false,
      keyPrefix: '',
      maxRetriesPerRequest: 0,
      enableOfflineQueue: false,
    });
  });

  it.each<[where: string, options: ClusterOptions]>([
    ['itself', { keyPrefix: 'app:' }],
    ['its redisOptions', { redisOptions: { keyPrefix: 'app:' } }],
  ])('of a cluster with a prefix in %s has none either', (_where, options) => {
    const client = new Cluster([{ host: '127.0.0.1', port: 1 }], {
      ...options,
      redisOptions: { username: 'u', keyPrefix: options.redisOptions?.keyPrefix },
      lazyConnect: true,
    });
    const copy = copyCluster(client, {}, 1000);
    expect(copy.status).toBe('connecting');
    const copied = optionsOf(copy);
    expect(copied).toMatchObject({ keyPrefix: '', lazyConnect: false, maxRedirections: 4 });
    expect(copied.redisOptions).toMatchObject({ keyPrefix: '', username: 'u', maxRetriesPerRequest: 0 });
  });
});

it('An error loses its command, and so does the error that caused it', () => {
  const lastNodeError = Object.assign(new Error('node'), { command: { name: 'auth', args: ['secret'] } });
  const error = Object.assign(new Error('cluster'), { command: { name: 'auth' }, lastNodeError });
  forgetCommand(error);
  forgetCommand('no error');
  expect(error).not.toHaveProperty('command');
  expect(lastNodeError).not.toHaveProperty('command');
});
