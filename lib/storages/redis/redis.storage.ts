import type { Redis, RedisOptions } from 'ioredis';
import type { StorageOptions } from '../storage.js';
import { openRedis, safe } from './redis-client.js';
import { RedisScriptStorage } from './redis-script.storage.js';

/** For a client that is given instead of a URI. */
export interface GivenClientOptions {
  /**
   * Whether to open a connection of our own like the client's. Without, the client is used as it is: with its retries, which
   * may count a hit twice, and its offline queue, in which hits may wait. Default: true.
   */
  duplicate?: boolean;
}

/** Options of {@link RedisStorage}; those not named here go to `ioredis`. */
export interface RedisStorageOptions
  extends StorageOptions, GivenClientOptions, Omit<RedisOptions, 'keyPrefix'> {}

/**
 * Counts on a Redis or Valkey server, 6.2 or later, by its clock. One script call decides a batch, whatever its limits and
 * identities; the calls of one turn of the event loop are gathered into one.
 *
 * @example
 * ```ts
 * import { MovingWindowRateLimiter, parse } from 'nestjs-limits';
 * import { RedisStorage } from 'nestjs-limits/redis';
 *
 * const limiter = new MovingWindowRateLimiter(new RedisStorage('redis://localhost:6379/1'));
 * const allowed = await limiter.hit(parse('10/minute'), 'user', '42');
 * ```
 */
export class RedisStorage extends RedisScriptStorage {
  /**
   * @param connection a URI (`redis://`, `rediss://`, `redis+unix://`, or the same with `valkey`), or a client of `ioredis`
   * @throws ConfigurationError when the URI is malformed; its credentials never appear in a message
   */
  constructor(connection: string | Redis, options: RedisStorageOptions = {}) {
    const { keyPrefix, clock, duplicate = true, ...driverOptions } = options;
    const client = typeof connection === 'string' ? openRedis(connection, driverOptions) : connection;
    const copied = client === connection && duplicate;
    super(
      copied ? client.duplicate(safe(driverOptions)) : client,
      copied || client !== connection,
      { keyPrefix, clock },
      false,
    );
  }

  protected override primaries(): readonly Redis[] {
    return [this.client as Redis];
  }
}
