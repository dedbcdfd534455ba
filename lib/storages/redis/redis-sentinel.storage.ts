import type { Redis, RedisOptions } from 'ioredis';
import type { StorageOptions } from '../storage.js';
import { openSentinel } from './redis-client.js';
import { RedisScriptStorage } from './redis-script.storage.js';

/** Options of {@link RedisSentinelStorage}; those not named here go to `ioredis`, such as `sentinelPassword`. */
export interface RedisSentinelStorageOptions extends StorageOptions, Omit<RedisOptions, 'keyPrefix'> {
  /** Name of the service that the sentinels watch. Default: the path of the URI. */
  serviceName?: string;
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
   * @param uri `redis+sentinel://` or `valkey+sentinel://`; user name and password are the primary's
   * @throws ConfigurationError when the URI is malformed; its credentials never appear in a message
   */
  constructor(uri: string, options: RedisSentinelStorageOptions = {}) {
    const { keyPrefix, clock, serviceName, ...driverOptions } = options;
    super(openSentinel(uri, serviceName, driverOptions), true, { keyPrefix, clock }, false);
  }

  protected override primaries(): readonly Redis[] {
    return [this.client as Redis];
  }
}
