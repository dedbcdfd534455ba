import { ConfigurationError } from '../common/errors.js';
import { describeValue, quote } from '../common/describe.js';
import { MemoryStorage } from './memory/memory.storage.js';
import type { Storage, StorageOptions } from '../core/storage.js';
import type * as etcdEntry from './etcd/index.js';
import type * as mongodbEntry from './mongodb/index.js';
import type * as postgresqlEntry from './postgresql/index.js';
import type * as redisEntry from './redis/index.js';
import { SCHEMES } from './storage-uri.js';

/** Options of the storage named by the URI, and of its driver. */
export type StorageFromStringOptions = StorageOptions & Record<string, unknown>;

interface Backend {
  readonly schemes: readonly string[];
  /** The optional peer dependency that it needs. */
  readonly driver?: string;
  /** The storage and its entry in this package, if only that entry imports the driver. */
  readonly inBundles?: string;
  readonly open: (uri: string, options: StorageFromStringOptions) => Promise<Storage>;
}

const redis = (): Promise<typeof redisEntry> => importUnbundled('nestjs-limits/redis');
const mongodb = (): Promise<typeof mongodbEntry> => importUnbundled('nestjs-limits/mongodb');
const etcd = (): Promise<typeof etcdEntry> => importUnbundled('nestjs-limits/etcd');
const postgresql = (): Promise<typeof postgresqlEntry> => importUnbundled('nestjs-limits/postgresql');

/**
 * Imports a module in a way that bundlers do not follow: they would need the drivers of all storages.
 */
function importUnbundled<T>(entry: string): Promise<T> {
  return import(/* webpackIgnore: true */ entry) as Promise<T>;
}

const backends: readonly Backend[] = [
  { schemes: SCHEMES.memory, open: async (_uri, options) => new MemoryStorage(options) },
  {
    schemes: SCHEMES.redis,
    driver: 'ioredis',
    inBundles: 'new RedisStorage(uri), of "nestjs-limits/redis"',
    open: async (uri, options) => new (await redis()).RedisStorage(uri, options),
  },
  {
    schemes: SCHEMES.redisCluster,
    driver: 'ioredis',
    inBundles: 'new RedisClusterStorage(uri), of "nestjs-limits/redis"',
    open: async (uri, options) => new (await redis()).RedisClusterStorage(uri, options),
  },
  {
    schemes: SCHEMES.redisSentinel,
    driver: 'ioredis',
    inBundles: 'new RedisSentinelStorage(uri), of "nestjs-limits/redis"',
    open: async (uri, options) => new (await redis()).RedisSentinelStorage(uri, options),
  },
  {
    schemes: SCHEMES.memcached,
    open: async (uri, options) => new (await import('./memcached/index.js')).MemcachedStorage(uri, options),
  },
  {
    schemes: SCHEMES.gaeMemcached,
    open: async (uri, options) =>
      new (await import('./memcached/index.js')).GAEMemcachedStorage(uri, options),
  },
  {
    schemes: SCHEMES.mongodb,
    driver: 'mongodb',
    inBundles: 'new MongoDBStorage(uri), of "nestjs-limits/mongodb"',
    open: async (uri, options) => new (await mongodb()).MongoDBStorage(uri, options),
  },
  {
    schemes: SCHEMES.etcd,
    driver: 'etcd3',
    inBundles: 'new EtcdStorage(uri), of "nestjs-limits/etcd"',
    open: async (uri, options) => new (await etcd()).EtcdStorage(uri, options),
  },
  {
    schemes: SCHEMES.postgresql,
    driver: 'pg',
    inBundles: 'new PostgreSQLStorage(uri), of "nestjs-limits/postgresql"',
    open: async (uri, options) => {
      const { PostgreSQLStorage } = await postgresql();
      await importUnbundled('pg'); // the storage would import its driver at the first call
      return new PostgreSQLStorage(uri, options);
    },
  },
];

/**
 * Opens the storage named by a URI, for example `memory://` or `redis://localhost:6379`. If the
 * server does not respond, this function still resolves, and the first calls fail.
 *
 * @param options passed to the storage's constructor; options that it does not know go to the
 *   driver
 * @throws ConfigurationError when the scheme is unknown, the URI is malformed, the driver is not
 *   installed, or a bundle does not contain the storage. The message lists the known schemes or the
 *   remedy, and never shows the part after the scheme
 * @example
 * ```ts
 * import { storageFromString } from 'nestjs-limits';
 *
 * const storage = await storageFromString('memory://', { maxKeys: 100_000 });
 * ```
 */
export async function storageFromString(
  uri: string,
  options: StorageFromStringOptions = {},
): Promise<Storage> {
  const known = (): string =>
    `Known schemes: ${backends.flatMap(({ schemes }) => schemes.map((scheme) => `${scheme}://`)).join(', ')}.`;
  if (typeof uri !== 'string') {
    throw new ConfigurationError(`A storage URI must be a string; got ${describeValue(uri)}. ${known()}`);
  }
  const scheme = /^(?:async\+)?([a-z][a-z0-9+.-]*):\/\//i.exec(uri)?.[1]?.toLowerCase();
  if (scheme === undefined) throw new ConfigurationError(`The storage URI has no scheme. ${known()}`);
  const backend = backends.find(({ schemes }) => schemes.includes(scheme));
  if (backend === undefined) {
    throw new ConfigurationError(
      `The storage URI has the unknown scheme ${quote(`${scheme}://`)}. ${known()}`,
    );
  }
  return open(backend, scheme, uri, options);
}

async function open(
  { driver, inBundles, open }: Backend,
  scheme: string,
  uri: string,
  options: StorageFromStringOptions,
): Promise<Storage> {
  try {
    return await open(uri, options);
  } catch (cause) {
    if (driver !== undefined && isMissing(driver, cause))
      throw new ConfigurationError(
        `A storage at "${scheme}://" needs the package "${driver}": npm install ${driver}`,
        { cause },
      );
    if (inBundles !== undefined && isMissing('nestjs-limits', cause))
      throw new ConfigurationError(
        `A bundle of the application has no storage for "${scheme}://". Give the storage itself: ${inBundles}.`,
        { cause },
      );
    throw cause;
  }
}

/**
 * Returns true if an import failed because the package, or the entry of it, is not found. Checks the
 * error codes of ES modules and of CommonJS.
 */
function isMissing(name: string, error: unknown): boolean {
  const { code, message } = error as { code?: unknown; message?: unknown };
  return (
    (code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND') &&
    new RegExp(`'${name}['/]`).test(String(message))
  );
}
