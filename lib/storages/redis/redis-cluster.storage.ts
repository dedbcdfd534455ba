import type { Cluster, ClusterOptions, Redis } from 'ioredis';
import type { StorageOptions } from '../../core/storage.js';
import { assertUsable, copyCluster, openCluster } from './redis-client.js';
import { tagsOfAll } from './redis-slots.js';
import { RedisScriptStorage } from './redis-script.storage.js';
import type { GivenClientOptions } from './redis.storage.js';

/**
 * Options of {@link RedisClusterStorage}; those not named here go to the `Cluster` of `ioredis`, and are not for a client that is
 * used as it is. What is to be said of connections to single servers goes into `redisOptions`.
 */
export interface RedisClusterStorageOptions
  extends StorageOptions, GivenClientOptions, Omit<ClusterOptions, 'keyPrefix' | 'lazyConnect'> {
  /**
   * Ms that a command waits for its answer, and a connection for being made: the `commandTimeout` and the `connectTimeout` of
   * the `redisOptions`, and the `slotsRefreshTimeout`, unless these are given. Not for a client that is used as it is.
   * Default: 1000.
   */
  timeout?: number | undefined;
}

/**
 * Counts on a Redis or Valkey cluster, by the clock of each identity's primary; replicas are never read. All limits of one
 * identity lie in one slot and are decided by one script call. A batch over several identities is reserved on each, in
 * parallel, and given back if one refuses.
 *
 * @example
 * ```ts
 * import { RedisClusterStorage } from 'nestjs-limits/redis';
 *
 * const storage = new RedisClusterStorage('redis+cluster://localhost:7000,localhost:7001');
 * ```
 */
export class RedisClusterStorage extends RedisScriptStorage {
  /**
   * @param connection a URI (`redis+cluster://`, or `rediss+cluster://` for TLS to all servers; or the same with `valkey`), or
   *   a `Cluster` of `ioredis`
   * @throws ConfigurationError when the URI or an option is impossible; credentials never appear in a message
   */
  constructor(connection: string | Cluster, options: RedisClusterStorageOptions = {}) {
    const { keyPrefix, clock, timeout, duplicate = true, ...driverOptions } = options;
    const open = (within: number): Cluster => {
      if (typeof connection === 'string') return openCluster(connection, driverOptions, within);
      if (duplicate) return copyCluster(connection, driverOptions, within);
      assertUsable('RedisClusterStorage', connection, options);
      return connection;
    };
    const owned = typeof connection === 'string' || duplicate;
    super({ keyPrefix, clock, timeout }, open, owned, true);
  }

  protected override primaries(): readonly Redis[] {
    return (this.client as Cluster).nodes('master');
  }

  protected override checkedTags(): readonly string[] {
    return tagsOfAll((this.client as Cluster).slots.map(([primary]) => primary));
  }
}
