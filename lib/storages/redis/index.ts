/**
 * Storages on Redis and Valkey: one server, a cluster, or one that sentinels name. Needs the
 * package `ioredis`.
 *
 * @packageDocumentation
 */

export { RedisClusterStorage, type RedisClusterStorageOptions } from './redis-cluster.storage.js';
export { RedisSentinelStorage, type RedisSentinelStorageOptions } from './redis-sentinel.storage.js';
export { RedisStorage, type GivenClientOptions, type RedisStorageOptions } from './redis.storage.js';
