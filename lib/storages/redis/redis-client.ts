import { Redis, type Cluster, type RedisOptions } from 'ioredis';
import { ConfigurationError } from '../../common/errors.js';

/** A client that this library can use: of a server, or of a cluster. */
export type RedisClient = Redis | Cluster;

/**
 * What every connection of ours is opened with: no command is ever sent twice, since the first time may have counted; none
 * waits in a queue for a connection to come back; and none waits for an answer without end.
 */
const SAFE_OPTIONS = {
  maxRetriesPerRequest: 0,
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  commandTimeout: 1000,
  connectTimeout: 2000,
  retryStrategy: (attempt: number): number => Math.min(50 * attempt, 1000),
} as const satisfies RedisOptions;

/** Driver options over our own; an option that is `undefined` counts as not given. */
export function safe(options: Partial<RedisOptions>): Omit<RedisOptions, 'replyMapping'> {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return { ...SAFE_OPTIONS, ...Object.fromEntries(given) };
}

const SCHEMES: Readonly<Record<string, string>> = {
  redis: 'redis',
  rediss: 'rediss',
  valkey: 'redis',
  valkeys: 'rediss',
};

/** Opens a connection to the one server that a URI names. Its options win over what the URI says. */
export function openRedis(uri: string, options: Partial<RedisOptions>): Redis {
  const { scheme, rest } = splitUri(uri);
  if (/^(redis|valkey)\+unix$/.test(scheme)) return new Redis(safe({ ...unixOptions(rest), ...options }));
  const driverScheme = Object.hasOwn(SCHEMES, scheme) ? SCHEMES[scheme] : undefined;
  if (driverScheme === undefined) {
    throw new ConfigurationError(
      `RedisStorage takes redis://, rediss:// and redis+unix:// (and the same with valkey); got a URI with "${scheme}://".`,
    );
  }
  return new Redis(`${driverScheme}://${rest}`, safe(options));
}

export function splitUri(uri: string): { scheme: string; rest: string } {
  const [, scheme = '', rest = ''] = /^(?:async\+)?([a-z0-9+.-]+):\/\/(.*)$/is.exec(uri) ?? [];
  if (scheme === '')
    throw new ConfigurationError('The URI of a Redis storage has no scheme, such as redis://.');
  return { scheme: scheme.toLowerCase(), rest };
}

/** `[[user]:password@]/path/to/socket[?db=1]` */
function unixOptions(rest: string): Partial<RedisOptions> {
  const [, credentials, path = '', query = ''] = /^(?:([^@/]*)@)?(\/[^?]*)(?:\?(.*))?$/.exec(rest) ?? [];
  if (path === '')
    throw new ConfigurationError(
      'A redis+unix:// URI needs the path of the socket: redis+unix:///path/to/socket.',
    );
  const db = new URLSearchParams(query).get('db');
  return {
    path: decodeURIComponent(path),
    ...credentialsOf(credentials),
    ...(db === null ? {} : { db: Number(db) }),
  };
}

/** User name and password of a URI, percent-decoded. */
export function credentialsOf(credentials: string | undefined): { username?: string; password?: string } {
  if (credentials === undefined || credentials === '') return {};
  const [user = '', ...password] = credentials.split(':');
  return {
    ...(user === '' ? {} : { username: decodeURIComponent(user) }),
    ...(password.length === 0 ? {} : { password: decodeURIComponent(password.join(':')) }),
  };
}
