import { ConfigurationError } from '../common/errors.js';
import { describeValue, quote } from '../common/describe.js';
import { MemoryStorage } from './memory/memory.storage.js';
import type { Storage, StorageOptions } from '../core/storage.js';
import { SCHEMES } from './storage-uri.js';

/** Options of the storage named by the URI, and of its driver. */
export type StorageFromStringOptions = StorageOptions & Record<string, unknown>;

interface Backend {
  readonly schemes: readonly string[];
  /** The optional peer dependency that it needs. */
  readonly driver?: string;
  readonly open: (uri: string, options: StorageFromStringOptions) => Promise<Storage>;
}

const backends: readonly Backend[] = [
  { schemes: SCHEMES.memory, open: async (_uri, options) => new MemoryStorage(options) },
  {
    schemes: SCHEMES.redis,
    driver: 'ioredis',
    open: async (uri, options) => new (await import('./redis/index.js')).RedisStorage(uri, options),
  },
  {
    schemes: SCHEMES.redisCluster,
    driver: 'ioredis',
    open: async (uri, options) => new (await import('./redis/index.js')).RedisClusterStorage(uri, options),
  },
  {
    schemes: SCHEMES.redisSentinel,
    driver: 'ioredis',
    open: async (uri, options) => new (await import('./redis/index.js')).RedisSentinelStorage(uri, options),
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
    open: async (uri, options) => new (await import('./mongodb/index.js')).MongoDBStorage(uri, options),
  },
  {
    schemes: SCHEMES.etcd,
    driver: 'etcd3',
    open: async (uri, options) => new (await import('./etcd/index.js')).EtcdStorage(uri, options),
  },
  {
    schemes: SCHEMES.postgresql,
    driver: 'pg',
    open: async (uri, options) => {
      await import('./postgresql/own-connections.js'); // the storage would load its driver later
      return new (await import('./postgresql/index.js')).PostgreSQLStorage(uri, options);
    },
  },
];

/**
 * Opens the storage named by a URI, for example `memory://` or `redis://localhost:6379`. If the
 * server does not respond, this function still resolves, and the first calls fail.
 *
 * @param options passed to the storage's constructor; options that it does not know go to the
 *   driver
 * @throws ConfigurationError when the scheme is unknown, the URI is malformed, or the driver is not
 *   installed. The message lists the known schemes or the install command, and never shows the part
 *   after the scheme
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
  { driver, open }: Backend,
  scheme: string,
  uri: string,
  options: StorageFromStringOptions,
): Promise<Storage> {
  try {
    return await open(uri, options);
  } catch (cause) {
    if (driver === undefined || !isMissing(driver, cause)) throw cause;
    throw new ConfigurationError(
      `A storage at "${scheme}://" needs the package "${driver}": npm install ${driver}`,
      { cause },
    );
  }
}

/**
 * Returns true if an import failed because the package is not installed. Checks the error codes of
 * ES modules and of CommonJS.
 */
function isMissing(driver: string, error: unknown): boolean {
  const { code, message } = error as { code?: unknown; message?: unknown };
  return (
    (code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND') &&
    String(message).includes(`'${driver}'`)
  );
}
