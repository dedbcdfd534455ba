import type { Redis, RedisOptions } from 'ioredis';
import type { StorageOptions } from '../../core/storage.js';
import { assertUsable, copyRedis, openRedis } from './redis-client.js';
import { RedisScriptStorage } from './redis-script.storage.js';

/** For a client that is given instead of a URI. */
export interface GivenClientOptions {
  /**
   * Whether to open a connection of our own like the client's. Without, the client is used as it is: with its retries, which
   * may count a hit twice, and its offline queue, in which hits may wait. Its keyPrefix is not ours: a copy has none, and a
   * client that has one is not used as it is. Default: true.
   */
  duplicate?: boolean | undefined;
}

/** Options of {@link RedisStorage}; those not named here go to `ioredis`, and are not for a client that is used as it is. */
export interface RedisStorageOptions
  extends StorageOptions, GivenClientOptions, Omit<RedisOptions, 'keyPrefix' | 'lazyConnect'> {
  /**
   * Ms that a command waits for its answer, and a connection for being made: the `commandTimeout` and the `connectTimeout` of
   * `ioredis`, unless these are given. Not for a client that is used as it is. Default: 1000.
   */
  timeout?: number | undefined;
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
   * @throws ConfigurationError when the URI or an option is impossible; credentials never appear in a message
   */
  constructor(connection: string | Redis, options: RedisStorageOptions = {}) {
    const { keyPrefix, clock, timeout, duplicate = true, ...driverOptions } = options;
    const open = (within: number): Redis => {
      if (typeof connection === 'string') return openRedis(connection, driverOptions, within);
      if (duplicate) return copyRedis(connection, driverOptions, within);
      assertUsable('RedisStorage', connection, options);
      return connection;
    };
    const owned = typeof connection === 'string' || duplicate;
    super({ keyPrefix, clock, timeout }, open, owned, false);
  }

  protected override primaries(): readonly Redis[] {
    return [this.client as Redis];
  }
}
