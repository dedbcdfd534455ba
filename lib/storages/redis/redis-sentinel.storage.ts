import type { Redis, RedisOptions } from 'ioredis';
import type { StorageOptions } from '../../core/storage.js';
import { openSentinel } from './redis-client.js';
import { RedisScriptStorage } from './redis-script.storage.js';

/** Options of {@link RedisSentinelStorage}; those not named here go to `ioredis`, such as `sentinelPassword`. */
export interface RedisSentinelStorageOptions
  extends StorageOptions, Omit<RedisOptions, 'keyPrefix' | 'lazyConnect'> {
  /** Name of the service that the sentinels watch. Default: the path of the URI. */
  serviceName?: string | undefined;
  /**
   * Ms that a command waits for its answer, and a connection for being made: the `commandTimeout`, the `connectTimeout` and the
   * `sentinelCommandTimeout` of `ioredis`, unless these are given. Default: 1000.
   */
  timeout?: number | undefined;
}

/**
 * Counts on the primary that Redis or Valkey sentinels name, by its clock, and follows them to the next when it fails.
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
   * @param uri `redis+sentinel://`, or `rediss+sentinel://` for TLS to sentinels and servers; or the same with `valkey`. User
   *   name and password are the primary's
   * @throws ConfigurationError when the URI or an option is impossible; credentials never appear in a message
   */
  constructor(uri: string, options: RedisSentinelStorageOptions = {}) {
    const { keyPrefix, clock, timeout, serviceName, ...driverOptions } = options;
    const open = (within: number): Redis => openSentinel(uri, serviceName, driverOptions, within);
    super({ keyPrefix, clock, timeout }, open, true, false);
  }

  protected override primaries(): readonly Redis[] {
    return [this.client as Redis];
  }
}
