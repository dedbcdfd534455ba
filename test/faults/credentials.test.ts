import { inspect } from 'node:util';
import { afterEach, describe, expect, it } from '@jest/globals';
import { Logger, type INestApplication, type Type } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { Pool } from 'pg';
import {
  FixedWindowRateLimiter,
  MemoryStorage,
  RATE_LIMIT_STORAGE,
  RateLimiterService,
  RateLimitGuard,
  RateLimitInterceptor,
  RateLimitMiddleware,
  RateLimitModule,
  storageFromString,
  type Storage,
} from 'nestjs-limits';
import { EtcdStorage } from 'nestjs-limits/etcd';
import { GAEMemcachedStorage, MemcachedStorage } from 'nestjs-limits/memcached';
import { MongoDBStorage } from 'nestjs-limits/mongodb';
import { PostgreSQLStorage } from 'nestjs-limits/postgresql';
import { RedisClusterStorage, RedisSentinelStorage, RedisStorage } from 'nestjs-limits/redis';
import { DECIDING_STORAGE, RATE_LIMIT_OPTIONS } from '../../lib/nest/options/rate-limit.tokens.js';
import { RequestLimiter } from '../../lib/nest/request/request-limiter.js';
import { describeOn, serverUri, type ServerName } from '../support/servers.js';

const USER = 'sesame-user';
const PASSWORD = 'sesame-w0rd';
const SECRET = /sesame|c2VzYW1l/i; // "sesame", also in base64

/** The output that a log or a debugger would print for a value. */
function shown(value: unknown): string {
  const options = { depth: Infinity, showHidden: true, maxArrayLength: Infinity, maxStringLength: Infinity };
  return [
    String(value),
    inspect(value),
    inspect({ value }, options),
    inspect(value, { ...options, customInspect: false }),
    inspect(value, { ...options, customInspect: false, getters: true }),
    JSON.stringify({ value }),
    JSON.stringify(Object.entries(value as object)),
  ].join('\n');
}

/** The URI of a shared server, with credentials that it does not know. */
function uriOf(name: ServerName): string {
  return (serverUri(name) ?? 'mongodb://127.0.0.1:1').replace(/:\/\/(?:[^@/]*@)?/, `://${USER}:${PASSWORD}@`);
}

/** Has a known user, since the server's message names an unknown one. */
const postgresUri = (): string => uriOf('POSTGRESQL').replace(USER, 'postgres');
const plain = (name: ServerName): string => serverUri(name) ?? 'mongodb://127.0.0.1:1';
const credentials = { username: USER, password: PASSWORD };
const redisOptions = { ...credentials };

const storages: Readonly<Record<string, [name: string, open: () => Storage]>> = {
  'Redis by URI': ['RedisStorage', () => new RedisStorage(uriOf('REDIS'))],
  'Redis by options': ['RedisStorage', () => new RedisStorage(plain('REDIS'), credentials)],
  'a Redis cluster by URI': ['RedisClusterStorage', () => new RedisClusterStorage(uriOf('REDIS_CLUSTER'))],
  'a Redis cluster by options': [
    'RedisClusterStorage',
    () => new RedisClusterStorage(plain('REDIS_CLUSTER'), { redisOptions }),
  ],
  'Redis sentinels by URI': ['RedisSentinelStorage', () => new RedisSentinelStorage(uriOf('REDIS_SENTINEL'))],
  'Redis sentinels by options': [
    'RedisSentinelStorage',
    () => new RedisSentinelStorage(plain('REDIS_SENTINEL'), { ...credentials, sentinelPassword: PASSWORD }),
  ],
  'Memcached by URI': ['MemcachedStorage', () => new MemcachedStorage(uriOf('MEMCACHED'))],
  'Memcached on App Engine by URI': [
    'GAEMemcachedStorage',
    () => new GAEMemcachedStorage(uriOf('MEMCACHED')),
  ],
  'Memcached by TLS options': [
    'MemcachedStorage',
    () => new MemcachedStorage(plain('MEMCACHED'), { tls: { passphrase: PASSWORD } }),
  ],
  'etcd by URI': ['EtcdStorage', () => new EtcdStorage(uriOf('ETCD'))],
  'etcd by options': ['EtcdStorage', () => new EtcdStorage(plain('ETCD'), { auth: credentials })],
  'PostgreSQL by URI': ['PostgreSQLStorage', () => new PostgreSQLStorage(postgresUri())],
  'PostgreSQL by options': [
    'PostgreSQLStorage',
    () =>
      new PostgreSQLStorage(`${plain('POSTGRESQL')}?options=-c%20app.secret%3D${PASSWORD}`, {
        ssl: { passphrase: PASSWORD },
      }),
  ],
  'PostgreSQL on a given pool': [
    'PostgreSQLStorage',
    () => new PostgreSQLStorage(new Pool({ connectionString: postgresUri(), allowExitOnIdle: true })),
  ],
  memory: ['MemoryStorage', () => new MemoryStorage()],
};

/** Returns the error of a call; `undefined` if it succeeds. */
async function errorOf(call: () => unknown): Promise<unknown> {
  try {
    await call();
    return undefined;
  } catch (error) {
    return error;
  }
}

function itShowsNoCredentials(name: string, open: () => Storage): void {
  it('is shown by the name of its class, before and after a call, and so are its errors', async () => {
    const storage = open();
    expect([inspect(storage), JSON.stringify(storage)]).toEqual([name, `"${name}"`]);
    expect(shown(storage)).not.toMatch(SECRET);
    const limiter = new FixedWindowRateLimiter(storage);
    const first = await errorOf(() => limiter.hit('5/minute', 'a'));
    const second = await errorOf(() => storage.incr('a', 1));
    expect(shown({ storage, limiter, first, second })).not.toMatch(SECRET);
    await storage.close();
    const closed = await errorOf(() => limiter.hit('5/minute', 'a'));
    expect(shown({ storage, closed })).not.toMatch(SECRET);
  });
}

describe.each(Object.entries(storages))('The storage of %s', (_what, [name, open]) => {
  itShowsNoCredentials(name, open);
});

describeOn('MONGODB', 'The storage of MongoDB', () => {
  describe('by URI', () => {
    itShowsNoCredentials('MongoDBStorage', () => new MongoDBStorage(uriOf('MONGODB')));
  });
  describe('by options', () => {
    itShowsNoCredentials('MongoDBStorage', () => new MongoDBStorage(plain('MONGODB'), { auth: credentials }));
  });
});

describe('An error of a storage', () => {
  const invalid = [
    `redis://${USER}:${PASSWORD}@host:port:1`,
    `redis://${USER}:${PASSWORD}@host/${PASSWORD}`,
    `redis://${USER}:${PASSWORD}%@host`,
    `redis+cluster://${USER}:${PASSWORD}@`,
    `redis+sentinel://${USER}:${PASSWORD}@host`,
    `memcached://${USER}:${PASSWORD}@host?a=1`,
    `memcached://${PASSWORD}@host`,
    `etcd://${USER}:${PASSWORD}@[host`,
    `mongodb://${USER}:${PASSWORD}@host/?${'x'.repeat(3)}=y`,
    `mongodb://${USER}:${PASSWORD}@host:99999`,
    `mongodb+srv://${USER}:${PASSWORD}@a,b/x`,
    `postgres://${USER}:${PASSWORD}@one,two/db`,
    `postgres://${USER}:${PASSWORD}@host/db?sslmode=on`,
    `postgres://${USER}:${PASSWORD}@host/db?port=x`,
    `${USER}:${PASSWORD}@host`,
    `unknown://${USER}:${PASSWORD}@host`,
  ];

  it.each(invalid)('does not show credentials: %s', async (uri) => {
    const error = await errorOf(() => storageFromString(uri));
    expect(error).toBeInstanceOf(Error);
    expect(shown(error)).not.toMatch(/sesame-(user|w0rd@)/);
  });
});

describe('The module of a storage with credentials', () => {
  const running: INestApplication[] = [];
  afterEach(async () => {
    await Promise.all(running.splice(0).map((app) => app.close()));
    Logger.overrideLogger(undefined as never);
  });

  it.each([
    ['on a server that refuses them', () => uriOf('REDIS')],
    ['on a server that is not there', () => `redis://${USER}:${PASSWORD}@127.0.0.1:1`],
  ])('shows none of them: %s', async (_where, uri) => {
    const lines: unknown[] = [];
    const keep = (...line: unknown[]): void => void lines.push(line);
    const module = await Test.createTestingModule({
      imports: [RateLimitModule.forRoot({ storage: uri() })],
      providers: [RateLimitMiddleware, RateLimitInterceptor],
    })
      .setLogger({ log: keep, warn: keep, error: keep, debug: keep, verbose: keep })
      .compile();
    const app = module.createNestApplication();
    running.push(app);
    await app.init();
    await app.get(RateLimiterService).hit('5/minute', 'a');
    const tokens: (Type | symbol)[] = [
      ...[RateLimiterService, RateLimitGuard, RateLimitMiddleware, RateLimitInterceptor, RateLimitModule],
      ...[RequestLimiter, RATE_LIMIT_STORAGE, DECIDING_STORAGE, RATE_LIMIT_OPTIONS],
    ];
    for (const token of tokens) {
      const provider: unknown = app.get(token, { strict: false });
      const options = { depth: Infinity, showHidden: true };
      const texts = [inspect(provider), inspect({ provider }, options), JSON.stringify({ provider })];
      expect(texts.join('\n')).not.toMatch(SECRET);
    }
    expect(inspect(app.get(RateLimiterService))).toBe('RateLimiterService');
    expect(JSON.stringify(app.get(RateLimitGuard))).toBe('"RateLimitGuard"');
    expect(inspect(lines, { depth: Infinity, showHidden: true })).not.toMatch(SECRET);
  });
});
