import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Controller, Get, type ModuleMetadata, type Type } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { RateLimit, RateLimitModule, StorageError, type ResilienceOptions } from 'nestjs-limits';
import { RecordingLogger, startHttpApp, type HttpApp } from '../support/http-app.js';
import { describeWithMongod } from '../support/servers.js';
import { startEtcd } from '../support/servers/etcd.js';
import { startMemcached } from '../support/servers/memcached.js';
import { startMongo, withMongo } from '../support/servers/mongo.js';
import { queryPostgres, startPgBouncer, startPostgres } from '../support/servers/postgres.js';
import { startRedis, startRedisSentinel, type ServerGroup } from '../support/servers/redis.js';
import { ask, until, type Server } from '../support/servers/server-process.js';
import { base64, EtcdGateway } from '../support/etcd-gateway.js';

/**
 * Stores that respond, but lack features that the policies need. The error at start has the fix.
 */

@Controller()
class LoginController {
  @Get('login')
  @RateLimit('5/minute', { name: 'address' })
  @RateLimit('5/minute', { name: 'account', key: () => 'ann' })
  login() {
    return '';
  }
}

@Controller()
class LogController {
  @Get('log')
  @RateLimit('5/minute', { strategy: 'moving-window' })
  log() {
    return '';
  }
}

const moduleOver = (
  storage: string,
  resilience: ResilienceOptions,
  controllers: Type[] = [LoginController],
): ModuleMetadata => ({
  imports: [RateLimitModule.forRoot({ storage, resilience: { timeout: 10_000, ...resilience } })],
  controllers,
});

/**
 * Returns the error with which an application fails to start that requires its store; `undefined`
 * for none.
 */
async function startError(storage: string, ...controllers: Type[]): Promise<unknown> {
  const builder = Test.createTestingModule(
    moduleOver(storage, { startWithoutStore: false }, controllers.length > 0 ? controllers : undefined),
  );
  const module = await builder.setLogger(new RecordingLogger()).compile();
  try {
    await module.init();
    return undefined;
  } catch (error) {
    return error;
  } finally {
    await module.close();
  }
}

async function expectRemedy(storage: string, ...parts: readonly string[]): Promise<void> {
  const error = await startError(storage);
  expect(error).toBeInstanceOf(StorageError);
  for (const part of parts) expect(error).toHaveProperty('message', expect.stringContaining(part));
}

const CLUSTER = 'The server is in cluster mode: use redis+cluster://host:port (RedisClusterStorage).';

describe('A Redis server in cluster mode, used as a single server,', () => {
  let server: Server;
  beforeAll(async () => {
    server = await startRedis({ args: ['--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1'] });
    await ask(server.port, 'CLUSTER ADDSLOTSRANGE 0 16383\r\n');
    await until(
      async () => (await ask(server.port, 'CLUSTER INFO\r\n')).includes('cluster_state:ok'),
      'the cluster to serve',
    );
  });
  afterAll(() => server.stop());

  it('stops the start with an error that names redis+cluster://', async () => {
    await expectRemedy(server.uri, 'CROSSSLOT', CLUSTER);
    expect(await startError(server.uri.replace('redis:', 'redis+cluster:'))).toBeUndefined();
  });

  it('is logged once if the store is not required, and each instance limits', async () => {
    const apps: HttpApp[] = [];
    const metadata = moduleOver(server.uri, { instances: 4 });
    for (let instance = 0; instance < 4; instance++) apps.push(await startHttpApp('express', metadata));
    const warnings = (): string[] => apps.flatMap(({ log }) => log.warnings.map(String));
    const ofStart = (): string[] => warnings().filter((line) => line.includes('starts without it'));
    try {
      await until(() => ofStart().length === 4, 'the store to be checked by each');
      const statuses = await Promise.all(apps.map((app) => app.statuses(30, '/login')));
      expect(statuses.flat().filter((status) => status === 200)).toHaveLength(4);
      expect(ofStart()).toHaveLength(4);
      expect(warnings().filter((line) => !line.includes(CLUSTER))).toEqual([]);
      expect(warnings().length).toBeLessThanOrEqual(8); // each may also log its loss
    } finally {
      await Promise.all(apps.map((app) => app.close()));
    }
  });
});

describe('A single Redis server', () => {
  let server: Server;
  beforeAll(async () => {
    server = await startRedis();
  });
  afterAll(() => server.stop());

  it('that is used as a cluster stops the start with an error that names redis://', async () => {
    await expectRemedy(
      server.uri.replace('redis:', 'redis+cluster:'),
      'The server is not in cluster mode: use redis://host:port (RedisStorage).',
    );
  });

  it('that is used as a sentinel stops the start with an error that says so', async () => {
    await expectRemedy(
      `${server.uri.replace('redis:', 'redis+sentinel:')}/limits`,
      'The servers are not sentinels: name the sentinels, or use redis://host:port (RedisStorage).',
    );
  });

  it('that is a replica stops the start with an error that names the primary', async () => {
    await ask(server.port, 'REPLICAOF 127.0.0.1 1\r\n');
    try {
      await expectRemedy(server.uri, 'READONLY', 'The server is a read-only replica: name its primary');
    } finally {
      await ask(server.port, 'REPLICAOF NO ONE\r\n');
    }
    expect(await startError(server.uri)).toBeUndefined();
  });

  it('whose user lacks commands stops the start if a strategy of the policies needs them', async () => {
    const rights = '+eval +evalsha +hget +hmget +hset +hdel +hgetall +pttl +pexpire +time +del +unlink +info';
    await ask(server.port, `ACL SETUSER few on >secret ~nestjs-limits:* ${rights}\r\n`);
    const uri = server.uri.replace('//', '//few:secret@');
    expect(await startError(uri, LoginController)).toBeUndefined();
    const error = await startError(uri, LoginController, LogController);
    expect(error).toHaveProperty('message', expect.stringContaining('answers, but cannot count'));
    expect(error).toHaveProperty(
      'message',
      expect.stringContaining("docs/storages/redis.md, section 'Permissions'"),
    );
  });

  it('that is used as Memcached stops the start with an error that names redis://', async () => {
    await expectRemedy(
      server.uri.replace('redis:', 'memcached:'),
      'The server is Redis: use redis://host:port (RedisStorage).',
    );
  });

  it('keeps no key of the check at start', async () => {
    expect(await startError(server.uri, LoginController, LogController)).toBeUndefined();
    expect(await ask(server.port, 'DBSIZE\r\n')).toBe(':0\r\n');
  });
});

describe('A Redis sentinel', () => {
  let group: ServerGroup;
  beforeAll(async () => {
    group = await startRedisSentinel();
  }, 60_000);
  afterAll(() => group.stop());

  it('that is used as a single server stops the start with an error that names redis+sentinel://', async () => {
    const sentinel = group.servers.at(-1) as Server;
    await expectRemedy(
      `redis://127.0.0.1:${sentinel.port}`,
      'If it is a sentinel, use redis+sentinel://host:port/service (RedisSentinelStorage).',
    );
    expect(await startError(group.uri)).toBeUndefined();
  });
});

describe('A Memcached server', () => {
  it('does not stop the start', async () => {
    const server = await startMemcached();
    try {
      expect(await startError(server.uri, LoginController, LogController)).toBeUndefined();
    } finally {
      await server.stop();
    }
  });
});

describe('An etcd server whose user may not write the keys', () => {
  it('stops the start with an error that names the role', async () => {
    const server = await startEtcd();
    try {
      const root = new EtcdGateway(server);
      const others = { key: base64('others:'), range_end: base64('others;') };
      await root.call('auth/role/add', { name: 'limits' });
      await root.call('auth/role/grant', { name: 'limits', perm: { permType: 'READWRITE', ...others } });
      await root.call('auth/user/add', { name: 'root', password: 'root' });
      await root.call('auth/user/grant', { user: 'root', role: 'root' });
      await root.call('auth/user/add', { name: 'limiter', password: 'secret' });
      await root.call('auth/user/grant', { user: 'limiter', role: 'limits' });
      await root.call('auth/enable', {});
      await expectRemedy(
        server.uri.replace('//', '//limiter:secret@'),
        "Grant the user's role readwrite on the prefix of the keys: see docs/storages/etcd.md.",
      );
    } finally {
      await server.stop();
    }
  });
});

describe('A PostgreSQL server', () => {
  let server: Server;
  const roles = [
    'CREATE ROLE app LOGIN',
    'CREATE ROLE barred NOLOGIN',
    'CREATE ROLE full LOGIN CONNECTION LIMIT 0',
    'CREATE ROLE reader LOGIN SUPERUSER',
    'ALTER ROLE reader SET default_transaction_read_only = on',
    'CREATE ROLE serial LOGIN SUPERUSER',
    "ALTER ROLE serial SET default_transaction_isolation = 'serializable'",
    "CREATE ROLE safe LOGIN PASSWORD 'secret'",
    'CREATE ROLE remote LOGIN',
  ];
  const rules = ['hostssl all remote all trust', 'host all safe all scram-sha-256'];
  const others = 'host all app,barred,full,reader,serial,postgres,stranger all trust';
  const GRANTS =
    'Run as the owner of the database: CREATE SCHEMA IF NOT EXISTS "nestjs_limits"; ' +
    'GRANT USAGE, CREATE ON SCHEMA "nestjs_limits" TO app; ';

  beforeAll(async () => {
    server = await startPostgres();
    for (const role of roles) await queryPostgres(server.uri, role);
    const [row] = await queryPostgres(server.uri, 'SHOW hba_file');
    writeFileSync(String(row?.['hba_file']), [...rules, others, ''].join('\n'));
    await queryPostgres(server.uri, 'SELECT pg_reload_conf()');
  }, 60_000);
  afterAll(() => server.stop());

  const as = (user: string): string => server.uri.replace('postgres@', `${user}@`);

  it.each([
    ['whose role may create nothing', () => as('app'), GRANTS],
    ['without the role', () => as('stranger'), 'Check the user, and pg_hba.conf of the server.'],
    ['whose role may not log in', () => as('barred'), 'Check the user, and pg_hba.conf of the server.'],
    ['whose role has no connection left', () => as('full'), 'Raise max_connections or the limit of the role'],
    ['whose password differs', () => as('safe:wrong'), 'Check user and password.'],
    ['that needs a password', () => as('safe'), 'Check user and password.'],
    ['that requires TLS', () => as('remote'), 'add sslmode=require to the URI'],
    ['without TLS', () => `${server.uri}?sslmode=require`, 'or use sslmode=disable.'],
    [
      'without the database',
      () => server.uri.replace(/postgres$/, 'gone'),
      'Create the database, or correct',
    ],
    ['that is read-only', () => as('reader'), 'The server is a read-only replica, or'],
    ['of another isolation', () => as('serial'), "role to 'read committed'."],
  ])('%s stops the start with an error that says so', async (_what, uri, remedy) => {
    await expectRemedy(uri(), remedy);
  });

  it('behind PgBouncer stops the start if the URI has an option or database that it does not know', async () => {
    const pooler = await startPgBouncer(server);
    try {
      expect(await startError(pooler.uri)).toBeUndefined();
      await expectRemedy(
        `${pooler.uri}?options=-c%20geqo%3Doff`,
        'Remove the parameter "options" from the URI',
      );
      await expectRemedy(pooler.uri.replace(/postgres$/, 'gone'), 'Create the database, or correct its name');
    } finally {
      await pooler.stop();
    }
  });

  it('does not stop the start, and keeps no row of the check', async () => {
    expect(await startError(server.uri, LoginController, LogController)).toBeUndefined();
    for (const table of ['rate_limits', 'rate_limit_log'])
      expect(await queryPostgres(server.uri, `SELECT * FROM nestjs_limits.${table}`)).toEqual([]);
  });
});

describeWithMongod('MongoDB without a primary', () => {
  it('stops the start with an error that says so', async () => {
    const server = await startMongo({ replica: true });
    try {
      expect(await startError(server.uri)).toBeUndefined();
      const direct = `mongodb://127.0.0.1:${server.port}/test?directConnection=true`;
      await withMongo(direct, (client) =>
        client.db('admin').command({ replSetStepDown: 600, force: true }),
      ).catch(() => undefined);
      await expectRemedy(server.uri, 'The replica set has no primary: see rs.status().');
      await expectRemedy(direct, 'name all members, without directConnection.');
    } finally {
      await server.stop();
    }
  }, 60_000);
});
