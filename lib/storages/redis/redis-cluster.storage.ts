import type { Cluster, ClusterOptions, Redis } from 'ioredis';
import type { StorageOptions } from '../storage.js';
import { openCluster, safeCluster } from './redis-client.js';
import { tagsOfAll } from './redis-slots.js';
import { RedisScriptStorage } from './redis-script.storage.js';
import type { GivenClientOptions } from './redis.storage.js';

/** Options of {@link RedisClusterStorage}; those not named here go to the `Cluster` of `ioredis`. */
export interface RedisClusterStorageOptions
  extends StorageOptions, GivenClientOptions, Omit<ClusterOptions, 'keyPrefix'> {}

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
   * @param connection a URI (`redis+cluster://`, `valkey+cluster://`), or a `Cluster` of `ioredis`
   * @throws ConfigurationError when the URI is malformed; its credentials never appear in a message
   */
  constructor(connection: string | Cluster, options: RedisClusterStorageOptions = {}) {
    const { keyPrefix, clock, duplicate = true, ...driverOptions } = options;
    const client = typeof connection === 'string' ? openCluster(connection, driverOptions) : connection;
    const copied = client === connection && duplicate;
    super(
      copied ? client.duplicate([], safeCluster(driverOptions)) : client,
      copied || client !== connection,
      { keyPrefix, clock },
      true,
    );
  }

  protected override primaries(): readonly Redis[] {
    return (this.client as Cluster).nodes('master');
  }

  protected override checkedTags(): readonly string[] {
    return tagsOfAll((this.client as Cluster).slots.map(([primary]) => primary));
  }
}
