import type { RedisOptions } from 'ioredis';
import { quote } from '../../common/describe.js';
import { ConfigurationError } from '../../common/errors.js';
import { assertScheme, parseStorageUri, SCHEMES, type HostAndPort } from '../storage-uri.js';

const REDIS_FORM =
  'redis://[user:password@]host:port[/db] (rediss:// for TLS) or redis+unix://[user:password@]/path/to/socket[?db=1]';
const CLUSTER_FORM = 'redis+cluster://[user:password@]host:port,host:port (rediss+cluster:// for TLS)';
const SENTINEL_FORM =
  'redis+sentinel://[user:password@]host:port,host:port/service[/db] (rediss+sentinel:// for TLS)';

const DEFAULT_PORT = 6379;
const DEFAULT_SENTINEL_PORT = 26_379;

/** The servers and options of a URI with several servers. */
export interface RedisTarget {
  readonly servers: readonly HostAndPort[];
  /** True to encrypt all connections. */
  readonly secure: boolean;
  /** Options of the connections to the servers that hold keys. */
  readonly options: Partial<RedisOptions>;
}

/**
 * Parses the URI of one server.
 *
 * @throws ConfigurationError when it is malformed, like every function in this file
 */
export function parseRedisUri(uri: string): Partial<RedisOptions> {
  const { scheme, username, password, hosts, path, query } = parseStorageUri(uri, REDIS_FORM, DEFAULT_PORT);
  assertScheme('A RedisStorage', scheme, SCHEMES.redis, REDIS_FORM);
  assertQuery('A RedisStorage', query, scheme.endsWith('+unix') ? ['db'] : []);
  const [server, ...others] = hosts;
  const isSocket = scheme.endsWith('+unix');
  if (isSocket && server !== undefined)
    throw new ConfigurationError(
      `The URI of a RedisStorage has something before the path of the socket. An "@" must follow user and password: ${REDIS_FORM}.`,
    );
  if (others.length > 0 || isSocket !== (server === undefined) || (isSocket && path === '')) {
    throw new ConfigurationError(`A RedisStorage needs exactly one server: ${REDIS_FORM}.`);
  }
  return {
    ...(isSocket ? { path } : server),
    ...(isSecure(scheme) && { tls: {} }),
    ...credentialsOf(username, password),
    ...databaseOf(isSocket ? query.get('db') : path.slice(1)),
  };
}

export function parseClusterUri(uri: string): RedisTarget {
  const { scheme, username, password, hosts, path, query } = parseStorageUri(uri, CLUSTER_FORM, DEFAULT_PORT);
  assertScheme('A RedisClusterStorage', scheme, SCHEMES.redisCluster, CLUSTER_FORM);
  assertQuery('A RedisClusterStorage', query);
  if (hosts.length === 0)
    throw new ConfigurationError(`A RedisClusterStorage needs at least one server: ${CLUSTER_FORM}.`);
  if (path.length > 1)
    throw new ConfigurationError(`A RedisClusterStorage has no databases to choose from: ${CLUSTER_FORM}.`);
  return { servers: hosts, secure: isSecure(scheme), options: credentialsOf(username, password) };
}

/** @param serviceName overrides the service in the URI */
export function parseSentinelUri(uri: string, serviceName: string | undefined): RedisTarget {
  const { scheme, username, password, hosts, path, query } = parseStorageUri(
    uri,
    SENTINEL_FORM,
    DEFAULT_SENTINEL_PORT,
  );
  assertScheme('A RedisSentinelStorage', scheme, SCHEMES.redisSentinel, SENTINEL_FORM);
  assertQuery('A RedisSentinelStorage', query);
  const [, service = '', db = '', ...more] = path.split('/');
  const name = serviceName ?? service;
  if (hosts.length === 0 || name === '' || more.length > 0) {
    throw new ConfigurationError(
      `A RedisSentinelStorage needs its sentinels and the name of the service: ${SENTINEL_FORM}, or the option serviceName.`,
    );
  }
  return {
    servers: hosts,
    secure: isSecure(scheme),
    options: { name, ...credentialsOf(username, password), ...databaseOf(db) },
  };
}

/**
 * Throws a `ConfigurationError` for a query parameter without effect, such as `?tls=true`, which
 * means TLS elsewhere.
 */
function assertQuery(storage: string, query: URLSearchParams, known: readonly string[] = []): void {
  const invalid = [...query.keys()].find((name) => !known.includes(name));
  if (invalid !== undefined)
    throw new ConfigurationError(
      `${storage} takes no ${quote(`?${invalid}=`)} in its URI. Give it as an option; for TLS, begin the URI with "rediss".`,
    );
}

function isSecure(scheme: string): boolean {
  return /^(?:redis|valkey)s/.test(scheme);
}

function credentialsOf(username: string | undefined, password: string | undefined): Partial<RedisOptions> {
  return { ...(username !== undefined && { username }), ...(password !== undefined && { password }) };
}

function databaseOf(text: string | null): Partial<RedisOptions> {
  if (text === null || text === '') return {};
  if (!/^\d+$/.test(text))
    throw new ConfigurationError(`The database of a Redis URI must be a number; got "${text}".`);
  return { db: Number(text) };
}
