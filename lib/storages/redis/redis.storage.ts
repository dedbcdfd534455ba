import type { Redis, RedisOptions } from 'ioredis';
import type { StorageOptions } from '../../core/storage.js';
import { assertClient, assertUsable, copyRedis, openRedis, type RedisClient } from './redis-client.js';
import { RedisScriptStorage } from './redis-script.storage.js';

/** Options for a client that is given instead of a URI. */
export interface GivenClientOptions {
  /**
   * True to open a separate connection with your client's options; false to use your client
   * itself.
   *
   * With false, its retries may count a hit twice, and hits may wait in its offline queue. A
   * client with a `keyPrefix` needs `true`; the copy ignores that prefix.
   *
   * @default true
   * @see docs/storages/redis-connections.md#your-own-client
   */
  duplicate?: boolean | undefined;
}

/**
 * Options of {@link RedisStorage}. Other options go to `ioredis`, and are refused with
 * `duplicate: false`.
 */
export interface RedisStorageOptions
  extends StorageOptions, GivenClientOptions, Omit<RedisOptions, 'keyPrefix' | 'lazyConnect'> {
  /**
   * Timeout of a command, and of connecting, in ms.
   *
   * Sets `commandTimeout` and `connectTimeout` of `ioredis`, unless these are given. Refused with
   * `duplicate: false`.
   *
   * @default 1000
   */
  timeout?: number | undefined;
}

/**
 * Counts on a Redis or Valkey server, 6.2 or later, by its clock. One script call decides a batch
 * of any limits and identities. The calls of one turn of the event loop are gathered into one.
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
   * @param connection a URI (`redis://`, `rediss://`, `redis+unix://`, or the same with `valkey`),
   *   or a client of `ioredis`
   * @throws ConfigurationError when the URI or an option is invalid; credentials never appear in a
   *   message
   */
  constructor(connection: string | Redis, options: RedisStorageOptions = {}) {
    const { keyPrefix, clock, timeout, duplicate = true, ...driverOptions } = options;
    assertClient('RedisStorage', connection, false);
    const open = (within: number): Redis => {
      if (typeof connection === 'string') return openRedis(connection, driverOptions, within);
      if (duplicate) return copyRedis(connection, driverOptions, within);
      assertUsable('RedisStorage', connection, options);
      return connection;
    };
    const owned = typeof connection === 'string' || duplicate;
    super({ keyPrefix, clock, timeout }, open, owned, 'server');
  }

  protected override primariesOf(client: RedisClient): readonly Redis[] {
    return [client as Redis];
  }
}
