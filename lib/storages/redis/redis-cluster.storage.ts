import type { Cluster, ClusterOptions, Redis } from 'ioredis';
import type { StorageOptions } from '../../core/storage.js';
import { assertClient, assertUsable, copyCluster, openCluster, type RedisClient } from './redis-client.js';
import { tagsOfAll } from './redis-slots.js';
import { RedisScriptStorage } from './redis-script.storage.js';
import type { GivenClientOptions } from './redis.storage.js';

/**
 * Options of {@link RedisClusterStorage}. Other options go to the `Cluster` of `ioredis`, and are
 * refused with `duplicate: false`. Options of the connections to single servers go into
 * `redisOptions`.
 */
export interface RedisClusterStorageOptions
  extends StorageOptions, GivenClientOptions, Omit<ClusterOptions, 'keyPrefix' | 'lazyConnect'> {
  /**
   * Timeout of a command, and of connecting, in ms.
   *
   * Sets `commandTimeout` and `connectTimeout` in `redisOptions`, and `slotsRefreshTimeout`,
   * unless these are given. Refused with `duplicate: false`.
   *
   * @default 1000
   */
  timeout?: number | undefined;
}

/**
 * Counts on a Redis or Valkey cluster, by the clock of each identity's primary. Replicas are never
 * read. All limits of one identity are in one slot, and one script call decides them. A batch over
 * several identities is consumed on each in parallel, and refunded if one refuses.
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
   * @param connection a URI (`redis+cluster://`, or `rediss+cluster://` for TLS to all servers; or
   *   the same with `valkey`), or a `Cluster` of `ioredis`
   * @throws ConfigurationError when the URI or an option is invalid; credentials never appear in a
   *   message
   */
  constructor(connection: string | Cluster, options: RedisClusterStorageOptions = {}) {
    const { keyPrefix, clock, timeout, duplicate = true, ...driverOptions } = options;
    assertClient('RedisClusterStorage', connection, true);
    const open = (within: number): Cluster => {
      if (typeof connection === 'string') return openCluster(connection, driverOptions, within);
      if (duplicate) return copyCluster(connection, driverOptions, within);
      assertUsable('RedisClusterStorage', connection, options);
      return connection;
    };
    const owned = typeof connection === 'string' || duplicate;
    super({ keyPrefix, clock, timeout }, open, owned, 'cluster');
  }

  protected override primariesOf(client: RedisClient): readonly Redis[] {
    return (client as Cluster).nodes('master');
  }

  protected override checkedTags(client: RedisClient): readonly (readonly string[])[] {
    return tagsOfAll((client as Cluster).slots.map(([primary]) => primary)).map((tag) => [tag]);
  }
}
