import type { Redis, RedisOptions } from 'ioredis';
import type { StorageOptions } from '../../core/storage.js';
import { assertConnection } from '../given-client.js';
import { openSentinel, type RedisClient } from './redis-client.js';
import { RedisScriptStorage } from './redis-script.storage.js';

/**
 * Options of {@link RedisSentinelStorage}. Other options, such as `sentinelPassword`, go to
 * `ioredis`.
 */
export interface RedisSentinelStorageOptions
  extends StorageOptions, Omit<RedisOptions, 'keyPrefix' | 'lazyConnect'> {
  /**
   * Name of the service that the sentinels watch.
   *
   * @default the path of the URI
   */
  serviceName?: string | undefined;
  /**
   * Timeout of a command, and of connecting, in ms.
   *
   * Sets `commandTimeout`, `connectTimeout` and `sentinelCommandTimeout` of `ioredis`, unless
   * these are given.
   *
   * @default 1000
   */
  timeout?: number | undefined;
}

/**
 * Counts on the primary that Redis or Valkey sentinels report, by its clock. After a failover it
 * connects to the new primary.
 *
 * @example
 * ```ts
 * import { RedisSentinelStorage } from 'nestjs-limits/redis';
 *
 * const storage = new RedisSentinelStorage('redis+sentinel://localhost:26379,localhost:26380/mymaster');
 * ```
 */
export class RedisSentinelStorage extends RedisScriptStorage {
  /**
   * @param uri `redis+sentinel://`, or `rediss+sentinel://` for TLS to sentinels and servers; or
   *   the same with `valkey`. User name and password are for the primary
   * @throws ConfigurationError when the URI or an option is invalid; credentials never appear in a
   *   message
   */
  constructor(uri: string, options: RedisSentinelStorageOptions = {}) {
    const { keyPrefix, clock, timeout, serviceName, ...driverOptions } = options;
    assertConnection(
      'A RedisSentinelStorage',
      uri,
      [],
      'a URI. A client that finds its server through sentinels is for RedisStorage: new RedisStorage(client)',
    );
    const open = (within: number): Redis => openSentinel(uri, serviceName, driverOptions, within);
    super({ keyPrefix, clock, timeout }, open, true, 'sentinel');
  }

  protected override primariesOf(client: RedisClient): readonly Redis[] {
    return [client as Redis];
  }
}
