import { describe, expect, it } from '@jest/globals';
import { Cluster, Redis } from 'ioredis';
import { ConfigurationError, type Storage } from 'nestjs-limits';
import {
  RedisClusterStorage,
  RedisSentinelStorage,
  RedisStorage,
  type RedisClusterStorageOptions,
  type RedisSentinelStorageOptions,
  type RedisStorageOptions,
} from 'nestjs-limits/redis';
import { ManualClock } from 'nestjs-limits/testing';

/** No server listens on this port. */
const NOWHERE = '127.0.0.1:1';

/** A client that connects when the test tells it to. */
function redis(options: object = {}): Redis {
  return new Redis({ port: 1, lazyConnect: true, ...options }).on('error', () => undefined);
}

function cluster(options: object = {}): Cluster {
  const client = new Cluster([{ host: '127.0.0.1', port: 1 }], { lazyConnect: true, ...options });
  return client.on('error', () => undefined);
}

type Options = RedisStorageOptions & RedisClusterStorageOptions & RedisSentinelStorageOptions;

const byUri: Record<string, (options?: Options) => Storage> = {
  RedisStorage: (options) => new RedisStorage(`redis://${NOWHERE}`, options),
  RedisClusterStorage: (options) => new RedisClusterStorage(`redis+cluster://${NOWHERE}`, options),
  RedisSentinelStorage: (options) => new RedisSentinelStorage(`redis+sentinel://${NOWHERE}/service`, options),
};
const onClient: Record<string, (options?: Options, driver?: object) => Storage> = {
  RedisStorage: (options, driver) => new RedisStorage(redis(driver), options),
  RedisClusterStorage: (options, driver) => new RedisClusterStorage(cluster(driver), options),
};

describe.each(Object.entries(byUri))('%s', (name, open) => {
  it('decides by the clock of the server by default', async () => {
    const storages = [open(), open({ clock: new ManualClock() })];
    expect(storages.map(({ capabilities }) => capabilities.clock)).toEqual(['server', 'local']);
    for (const storage of storages) await storage.close();
  });

  it.each([0, -1, 1.5, NaN, 2 ** 31, '1000'])('throws for a timeout of %p', (timeout) => {
    expect(() => open({ timeout: timeout as number })).toThrow(
      `The timeout of ${name} in ms must be a whole number from 1 to 2147483647; got`,
    );
  });

  it('treats an undefined option as absent', async () => {
    const storage = open({
      timeout: undefined,
      keyPrefix: undefined,
      clock: undefined,
      duplicate: undefined,
      serviceName: undefined,
      ...({ lazyConnect: undefined } as object),
    });
    expect(storage.keyPrefix).toBe('nestjs-limits');
    await storage.close();
  });

  it('connects immediately, and throws for the option to wait', () => {
    for (const lazyConnect of [true, false]) {
      expect(() => open({ lazyConnect } as object)).toThrow(
        new ConfigurationError(
          `A ${name} does not know the option "lazyConnect". A storage connects immediately; without a server, only its calls fail.`,
        ),
      );
    }
  });

  it('rejects calls while there is no server', async () => {
    const storage = open({ timeout: 500 });
    expect(await storage.check()).toBe(false);
    await storage.close();
  });
});

describe('RedisClusterStorage', () => {
  it.each(['tls', 'username', 'password', 'commandTimeout', 'connectTimeout'])(
    'throws for the option %s of single servers, which the driver would ignore',
    (option) => {
      expect(() => byUri['RedisClusterStorage']?.({ [option]: {} })).toThrow(
        new ConfigurationError(
          `A RedisClusterStorage does not know the option "${option}". It belongs in "redisOptions", with all options of connections to single servers.`,
        ),
      );
    },
  );

  it.each(['given a URI', 'given a client'])('has one prefix: %s', (given) => {
    const open = (given === 'given a URI' ? byUri : onClient)['RedisClusterStorage'];
    expect(() => open?.({ redisOptions: { keyPrefix: 'app:' } })).toThrow(
      new ConfigurationError(
        'A RedisClusterStorage, in its redisOptions, does not know the option "keyPrefix". Keys begin with the keyPrefix of the storage.',
      ),
    );
  });
});

describe.each(Object.entries(onClient))('%s on a given client', (name, open) => {
  it.each([true, false])('works if that waits for its first command (duplicate: %s)', async (duplicate) => {
    const storage = open({ duplicate }, { retryStrategy: () => null, clusterRetryStrategy: () => null });
    expect(await storage.check()).toBe(false);
    await storage.close();
  });

  it('works if that has ended and is not copied', async () => {
    const client = name === 'RedisStorage' ? redis() : cluster();
    client.disconnect();
    const storage =
      client instanceof Cluster
        ? new RedisClusterStorage(client, { duplicate: false })
        : new RedisStorage(client, { duplicate: false });
    expect(await storage.check()).toBe(false);
  });

  it('throws for options of the driver if the client is not copied', () => {
    const refused = `A ${name} on a given client with "duplicate: false" does not know the option`;
    expect(() => open({ duplicate: false, enableAutoPipelining: true })).toThrow(
      new ConfigurationError(
        `${refused} "enableAutoPipelining". Known options: clock, duplicate, keyPrefix.`,
      ),
    );
    expect(() => open({ duplicate: false, timeout: 500 })).toThrow(
      new ConfigurationError(`${refused} "timeout". The commandTimeout of the client applies.`),
    );
  });

  it('throws for a client with a prefix, unless it is copied', async () => {
    const message =
      `A client with a keyPrefix cannot be used by a ${name} with "duplicate: false", since reset() would not find its keys. ` +
      'Omit that option, or pass a client without a keyPrefix: the storage has its own.';
    for (const driver of [{ keyPrefix: 'app:' }, { keyPrefix: '', redisOptions: { keyPrefix: 'app:' } }]) {
      if (name === 'RedisStorage' && 'redisOptions' in driver) continue;
      expect(() => open({ duplicate: false }, driver)).toThrow(new ConfigurationError(message));
      await open({}, driver).close();
    }
  });

  it('opens nothing if an option is invalid', () => {
    const client = name === 'RedisStorage' ? redis() : cluster();
    client.duplicate = () => {
      throw new Error('copied');
    };
    const make = (options: Options): Storage =>
      client instanceof Cluster
        ? new RedisClusterStorage(client, options)
        : new RedisStorage(client, options);
    expect(() => make({ keyPrefix: '' })).toThrow('The keyPrefix of a storage must be');
    expect(() => make({ timeout: 0 })).toThrow('The timeout of');
    expect(() => make({})).toThrow('copied');
  });
});
