import { startEtcd, etcdVersion } from './etcd.js';
import { startMemcached } from './memcached.js';
import { startMongo, withMongo } from './mongo.js';
import { findProgram, isExecutable, providePrograms } from './programs.js';
import { redisVersion, startRedisCluster, startRedisSentinel, startRedisWithSocketAndTls } from './redis.js';
import { ask } from './server-process.js';

/** What the tests learn of the servers of their run. */
export interface SharedServers {
  /** Environment variables: `TEST_<NAME>_URI`, and what else a test has to know. */
  readonly env: Readonly<Record<string, string>>;
  /** What the run says at its end: the versions, and which servers there were none of. */
  readonly report: readonly string[];
  /** Removes what was written to a server that is not ours to end. */
  readonly forget?: () => Promise<void>;
}

/** Starts one of every kind. Whoever calls this ends whatever has been started, also when it throws. */
export async function startSharedServers(): Promise<SharedServers> {
  providePrograms();
  const parts = await Promise.all([redis(), redisCluster(), redisSentinel(), memcached(), etcd(), mongo()]);
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

async function mongo(): Promise<SharedServers> {
  const given = process.env['MONGODB_URI'];
  const program = findMongod();
  const env = program === undefined ? {} : { TEST_MONGOD_BIN: program };
  if (given) return { ...(await givenMongo(given, env)) };
  if (program === undefined) {
    const how = 'Set MONGODB_URI or MONGOD_BIN, or put mongod on the PATH.';
    if (process.env['REQUIRE_SERVERS'] === '1')
      throw new Error(`There is no MongoDB to test against. ${how}`);
    return { env, report: [`No MongoDB: there is none to be had, and its cases were skipped. ${how}`] };
  }
  Object.assign(process.env, env);
  const [alone, replica] = await Promise.all([startMongo(), startMongo({ replica: true })]);
  return {
    env: { ...env, TEST_MONGODB_URI: alone.uri, TEST_MONGODB_REPLICA_URI: replica.uri },
    report: [`MongoDB ${await mongoVersion(alone.uri)}`],
  };
}

/** A server that was there before us: the tests keep to a database of their own. */
async function givenMongo(given: string, env: Readonly<Record<string, string>>): Promise<SharedServers> {
  const database = `nestjs-limits-test-${process.pid}`;
  const uri = given.replace(
    /^(mongodb(?:\+srv)?:\/\/[^/?]+)(?:\/[^?]*)?/,
    (_all, server: string) => `${server}/${database}`,
  );
  const hello = await withMongo(uri, (client) => client.db('admin').command({ hello: 1 }));
  const uris =
    hello['setName'] === undefined
      ? { TEST_MONGODB_URI: uri }
      : { TEST_MONGODB_URI: uri, TEST_MONGODB_REPLICA_URI: uri };
  return {
    env: { ...env, ...uris },
    report: [`MongoDB ${await mongoVersion(uri)} at MONGODB_URI`],
    forget: () =>
      withMongo(uri, async (client) => {
        await client.db(database).dropDatabase();
      }),
  };
}

function findMongod(): string | undefined {
  const named = process.env['MONGOD_BIN'];
  if (!named) return findProgram('mongod');
  if (!isExecutable(named)) throw new Error(`MONGOD_BIN names no program: ${named}`);
  return named;
}

function mongoVersion(uri: string): Promise<string> {
  return withMongo(uri, async (client) =>
    String((await client.db('admin').command({ buildInfo: 1 }))['version']),
  );
}
