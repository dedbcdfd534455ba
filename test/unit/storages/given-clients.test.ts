import { expect, it } from '@jest/globals';
import { Etcd3 } from 'etcd3';
import { Cluster, Redis } from 'ioredis';
import { MongoClient } from 'mongodb';
import { ConfigurationError, type Storage } from 'nestjs-limits';
import { EtcdStorage } from 'nestjs-limits/etcd';
import { MemcachedStorage } from 'nestjs-limits/memcached';
import { MongoDBStorage } from 'nestjs-limits/mongodb';
import { RedisClusterStorage, RedisSentinelStorage, RedisStorage } from 'nestjs-limits/redis';

const redis = new Redis({ port: 1, lazyConnect: true });
const cluster = new Cluster([{ port: 1 }], { lazyConnect: true });
const mongo = new MongoClient('mongodb://127.0.0.1:1');

/** Has the methods of a client of the package `redis` that are like those of `ioredis`. */
class NodeRedisClient {
  readonly options = {};
  connect() {}
  disconnect() {}
  duplicate() {}
  sendCommand() {}
}

/** Like a client of the package `@upstash/redis`. */
class UpstashRedis {
  eval() {}
  get() {}
}

const IOREDIS =
  'of the package "ioredis", and no client of another package such as "redis" or "@upstash/redis"; got';

it.each<[string, (client: never) => Storage, unknown, string]>([
  [
    'node-redis',
    (client) => new RedisStorage(client),
    new NodeRedisClient(),
    `A RedisStorage takes a URI or a Redis ${IOREDIS} an object (NodeRedisClient).`,
  ],
  [
    'Upstash',
    (client) => new RedisStorage(client),
    new UpstashRedis(),
    `A RedisStorage takes a URI or a Redis ${IOREDIS} an object (UpstashRedis).`,
  ],
  [
    'no URI',
    (client) => new RedisStorage(client),
    undefined,
    `A RedisStorage takes a URI or a Redis ${IOREDIS} undefined.`,
  ],
  [
    'node-redis without a copy',
    (client) => new RedisStorage(client, { duplicate: false }),
    new NodeRedisClient(),
    `A RedisStorage takes a URI or a Redis ${IOREDIS} an object (NodeRedisClient).`,
  ],
  [
    'a cluster',
    (client) => new RedisStorage(client),
    cluster,
    'A RedisStorage takes a Redis of "ioredis"; got a Cluster. Use RedisClusterStorage: new RedisClusterStorage(client).',
  ],
  [
    'a single server',
    (client) => new RedisClusterStorage(client),
    redis,
    'A RedisClusterStorage takes a Cluster of "ioredis"; got a Redis. Use RedisStorage: new RedisStorage(client).',
  ],
  [
    'a single server without a copy',
    (client) => new RedisClusterStorage(client, { duplicate: false }),
    redis,
    'A RedisClusterStorage takes a Cluster of "ioredis"; got a Redis. Use RedisStorage: new RedisStorage(client).',
  ],
  [
    'Upstash for a cluster',
    (client) => new RedisClusterStorage(client),
    new UpstashRedis(),
    `A RedisClusterStorage takes a URI or a Cluster ${IOREDIS} an object (UpstashRedis).`,
  ],
  [
    'a client for sentinels',
    (client) => new RedisSentinelStorage(client),
    redis,
    'A RedisSentinelStorage takes a URI. A client that finds its server through sentinels is for RedisStorage: new RedisStorage(client); got an object (EventEmitter).',
  ],
  [
    'a database',
    (client) => new MongoDBStorage(client),
    mongo.db('limits'),
    'A MongoDBStorage takes a URI or a MongoClient of the package "mongodb" (of mongoose: connection.getClient()); got an object (Db).',
  ],
  [
    'a Redis for MongoDB',
    (client) => new MongoDBStorage(client),
    redis,
    'A MongoDBStorage takes a URI or a MongoClient of the package "mongodb" (of mongoose: connection.getClient()); got an object (EventEmitter).',
  ],
  [
    'null for MongoDB',
    (client) => new MongoDBStorage(client),
    null,
    'A MongoDBStorage takes a URI or a MongoClient of the package "mongodb" (of mongoose: connection.getClient()); got null.',
  ],
  [
    'a Redis for etcd',
    (client) => new EtcdStorage(client),
    redis,
    'An EtcdStorage takes a URI or an Etcd3 of the package "etcd3"; got an object (EventEmitter).',
  ],
  [
    'no URI for etcd',
    (client) => new EtcdStorage(client),
    undefined,
    'An EtcdStorage takes a URI or an Etcd3 of the package "etcd3"; got undefined.',
  ],
  [
    'a class for etcd',
    (client) => new EtcdStorage(client),
    Etcd3,
    'An EtcdStorage takes a URI or an Etcd3 of the package "etcd3"; got a function (Etcd3).',
  ],
  [
    'a client for Memcached',
    (client) => new MemcachedStorage(client),
    new UpstashRedis(),
    'A MemcachedStorage takes a URI, since it has a client of its own: memcached://host:port; got an object (UpstashRedis).',
  ],
])('A storage refuses a wrong client with a ConfigurationError: %s', (_what, open, client, message) => {
  const call = (): Storage => open(client as never);
  expect(call).toThrow(ConfigurationError);
  expect(call).toThrow(message);
});
