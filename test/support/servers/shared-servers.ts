import { messageOf } from '../../../lib/common/describe.js';
import { startEtcd, etcdVersion } from './etcd.js';
import { startMemcached } from './memcached.js';
import { startMongo, withMongo } from './mongo.js';
import { downloadMongod, findMongod } from './mongod-program.js';
import { postgresVersion, startPgBouncer, startPostgres } from './postgres.js';
import { provideChromium, providePrograms } from './programs.js';
import { redisVersion, startRedisCluster, startRedisSentinel, startRedisWithSocketAndTls } from './redis.js';
import { ask } from './server-process.js';

/** The servers of a run, for its tests and its report. */
export interface SharedServers {
  /** Environment variables: `TEST_<NAME>_URI` and others. */
  readonly env: Readonly<Record<string, string>>;
  /** Last lines of the run: the versions, and the missing servers. */
  readonly report: readonly string[];
  /** Removes the data from a server that this run has not started. */
  readonly forget?: () => Promise<void>;
}

/** Starts one server of each kind. The caller stops every started server, even if this throws. */
export async function startSharedServers(): Promise<SharedServers> {
  // Installations block this process, so they come before the servers start.
  providePrograms();
  const browser = chromium();
  const parts = await Promise.all([
    redis(),
    redisCluster(),
    redisSentinel(),
    memcached(),
    etcd(),
    postgresql(),
    mongo(),
  ]);
  parts.push(browser);
  const forget = parts.map((part) => part.forget).find((each) => each !== undefined);
  return {
    env: Object.assign({}, ...parts.map(({ env }) => env)) as Record<string, string>,
    report: parts.flatMap(({ report }) => report),
    ...(forget === undefined ? {} : { forget }),
  };
}

async function redis(): Promise<SharedServers> {
  const { server, socket, tlsPort, ca } = await startRedisWithSocketAndTls();
  return {
    env: {
      TEST_REDIS_URI: server.uri,
      TEST_REDIS_UNIX_URI: `redis+unix://${socket}`,
      TEST_REDIS_TLS_URI: `rediss://127.0.0.1:${tlsPort}`,
      TEST_REDIS_TLS_CA: ca,
    },
    report: [`Redis ${await redisVersion(server)}`],
  };
}

async function redisCluster(): Promise<SharedServers> {
  return { env: { TEST_REDIS_CLUSTER_URI: (await startRedisCluster()).uri }, report: [] };
}

async function redisSentinel(): Promise<SharedServers> {
  return { env: { TEST_REDIS_SENTINEL_URI: (await startRedisSentinel()).uri }, report: [] };
}

async function memcached(): Promise<SharedServers> {
  const [first, second, socket] = await Promise.all([
    startMemcached(),
    startMemcached(),
    startMemcached({ socket: true }),
  ]);
  const version = (await ask(first.port, 'version\r\n')).replace('VERSION', '').trim();
  return {
    env: {
      TEST_MEMCACHED_URI: `memcached://127.0.0.1:${first.port},127.0.0.1:${second.port}`,
      TEST_MEMCACHED_UNIX_URI: socket.uri,
    },
    report: [`Memcached ${version}`],
  };
}

async function etcd(): Promise<SharedServers> {
  const server = await startEtcd();
  return { env: { TEST_ETCD_URI: server.uri }, report: [`etcd ${await etcdVersion(server)}`] };
}

async function postgresql(): Promise<SharedServers> {
  const server = await startPostgres();
  const pooler = await startPgBouncer(server);
  return {
    env: { TEST_POSTGRESQL_URI: server.uri, TEST_PGBOUNCER_URI: pooler.uri },
    report: [`PostgreSQL ${await postgresVersion(server)}, also behind PgBouncer`],
  };
}

/**
 * Uses the server at MONGODB_URI, or starts a program that is installed or downloaded. Returns none
 * otherwise.
 */
async function mongo(): Promise<SharedServers> {
  const given = process.env['MONGODB_URI'];
  const program = findMongod();
  if (given) return givenMongo(given, program);
  if (program !== undefined) return ownMongo(program);
  try {
    return await ownMongo(await downloadMongod());
  } catch (cause) {
    const why =
      'There is no MongoDB to test against: set MONGODB_URI or MONGOD_BIN, or put mongod on the PATH. ' +
      `None could be downloaded and started either: ${messageOf(cause).replace(/\s+/g, ' ')}`;
    if (process.env['REQUIRE_SERVERS'] === '1') throw new Error(why, { cause });
    return { env: {}, report: [`No MongoDB, its cases were skipped. ${why}`] };
  }
}

/** Not a server, but a program that a machine may lack as well. */
function chromium(): SharedServers {
  try {
    const program = provideChromium();
    return { env: { TEST_CHROMIUM_BIN: program }, report: [`Chromium: ${program}`] };
  } catch (cause) {
    const why = `There is no Chromium to show pages in. ${messageOf(cause)}`;
    if (process.env['REQUIRE_SERVERS'] === '1') throw new Error(why, { cause });
    return { env: {}, report: [`No Chromium, its cases were skipped. ${why}`] };
  }
}

async function ownMongo(program: string): Promise<SharedServers> {
  process.env['TEST_MONGOD_BIN'] = program;
  const [alone, replica] = await Promise.all([startMongo(), startMongo({ replica: true })]);
  return {
    env: {
      TEST_MONGOD_BIN: program,
      TEST_MONGODB_URI: alone.uri,
      TEST_MONGODB_REPLICA_URI: replica.uri,
    },
    report: [`MongoDB ${await mongoVersion(alone.uri)}`],
  };
}

/**
 * Uses a running server, with a separate database for the tests. A program, if there is one, starts
 * private servers.
 */
async function givenMongo(given: string, program: string | undefined): Promise<SharedServers> {
  const database = `nestjs-limits-test-${process.pid}`;
  const uri = withDatabase(given, database);
  const { setName } = await withMongo(uri, (client) => client.db('admin').command({ hello: 1 }));
  const report = [`MongoDB ${await mongoVersion(uri)} at MONGODB_URI`];
  const env: Record<string, string> = { TEST_MONGODB_URI: uri };
  if (setName !== undefined) env['TEST_MONGODB_REPLICA_URI'] = uri;
  if (program === undefined) {
    report.push('  No mongod (MONGOD_BIN): the cases on MongoDB servers of their own were skipped.');
  } else {
    env['TEST_MONGOD_BIN'] = process.env['TEST_MONGOD_BIN'] = program;
    env['TEST_MONGODB_REPLICA_URI'] ??= (await startMongo({ replica: true })).uri;
  }
  return {
    env,
    report,
    forget: () =>
      withMongo(uri, async (client) => {
        await client.db(database).dropDatabase();
      }),
  };
}

/** Replaces the database in a URI, and keeps the one to authenticate against. */
function withDatabase(given: string, database: string): string {
  const [, servers = '', path = '', query = ''] =
    /^(mongodb(?:\+srv)?:\/\/[^/?]+)(?:\/([^?]*))?(?:\?(.*))?$/.exec(given) ?? [];
  if (servers === '') throw new Error('MONGODB_URI is no URI of MongoDB.');
  const options = new URLSearchParams(query);
  if (servers.includes('@') && !options.has('authSource')) options.set('authSource', path || 'admin');
  return `${servers}/${database}?${options.toString()}`;
}

function mongoVersion(uri: string): Promise<string> {
  return withMongo(uri, async (client) =>
    String((await client.db('admin').command({ buildInfo: 1 }))['version']),
  );
}
