import type { Redis, RedisOptions } from 'ioredis';
import type { StorageOptions } from '../storage.js';
import { openRedis, safe } from './redis-client.js';
import { RedisScriptStorage } from './redis-script.storage.js';

/** Options of {@link RedisStorage}; those not named here go to `ioredis`. */
export interface RedisStorageOptions extends StorageOptions, Omit<RedisOptions, 'keyPrefix'> {
  /**
   * Whether to open a connection of our own beside a given client. Without, the client is used as it is: with its retries,
   * which may count a hit twice, and its offline queue, in which hits may wait. Default: true.
   */
  duplicate?: boolean;
}

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
    super(
      {
        client:
          typeof connection === 'string'
            ? openRedis(connection, driverOptions)
            : duplicate
              ? connection.duplicate(safe(driverOptions))
              : connection,
        owned: typeof connection === 'string' || duplicate,
      },
      { ...(keyPrefix === undefined ? {} : { keyPrefix }), ...(clock === undefined ? {} : { clock }) },
      false,
    );
  }

  protected override primaries(): readonly Redis[] {
    return [this.client as Redis];
  }
}
