import { Cluster, Redis, type ClusterOptions, type RedisOptions } from 'ioredis';
import { ConfigurationError } from '../../common/errors.js';
import { parseStorageUri } from '../storage-uri.js';

/** A client that the storages can use: of a server, or of a cluster. */
export type RedisClient = Redis | Cluster;

const DEFAULT_PORT = 6379;
const DEFAULT_SENTINEL_PORT = 26_379;

/**
 * What every connection of ours is opened with: no command is ever sent twice, since the first time may have counted; none
 * waits in a queue for a connection to come back; none waits for an answer without end; and a server that has become a
 * replica is left for the new primary.
 */
const SAFE_OPTIONS = {
  maxRetriesPerRequest: 0,
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  commandTimeout: 1000,
  connectTimeout: 1000,
  disconnectTimeout: 100, // a connection that went dead never says goodbye
  maxLoadingRetryTime: 500,
  retryStrategy: (attempt: number): number => Math.min(50 * attempt, 250),
  reconnectOnError: (error: Error): boolean => error.message.startsWith('READONLY'),
} as const satisfies RedisOptions;

/**
 * The same for a cluster. Redirections are followed: what a server redirects, it has not run. The queue is for the moment in
 * which a server of a cluster that is there is being connected to; the driver refuses its own checks without it.
 */
const SAFE_CLUSTER_OPTIONS = {
  enableOfflineQueue: true,
  retryDelayOnFailover: 0,
  maxRedirections: 4,
  slotsRefreshTimeout: 1000,
  clusterRetryStrategy: SAFE_OPTIONS.retryStrategy,
} as const satisfies ClusterOptions;

/** Driver options over our own; an option that is `undefined` counts as not given. */
export function safe(...options: Partial<RedisOptions>[]): Omit<RedisOptions, 'replyMapping'> {
  return { ...SAFE_OPTIONS, ...given(...options) };
}

export function safeCluster({
  redisOptions = {},
  ...options
}: ClusterOptions): Omit<ClusterOptions, 'redisOptions'> & { redisOptions: ReturnType<typeof safe> } {
  return { ...SAFE_CLUSTER_OPTIONS, ...given(options), redisOptions: safe(redisOptions) };
}

/** Opens a connection to one server. Options win over what the URI says. */
export function openRedis(uri: string, options: Partial<RedisOptions>): Redis {
  const form =
    'redis://[user:password@]host:port[/db] or redis+unix://[user:password@]/path/to/socket[?db=1]';
  const { scheme, username, password, hosts, path, query } = parseStorageUri(uri, form, DEFAULT_PORT);
  const [server, ...others] = hosts;
  const isSocket = scheme.endsWith('+unix');
  if (others.length > 0 || isSocket !== (server === undefined) || (isSocket && path === '')) {
    throw new ConfigurationError(`A RedisStorage needs exactly one server: ${form}.`);
  }
  const db = isSocket ? query.get('db') : path.slice(1);
  return new Redis(
    safe(
      isSocket ? { path } : { ...server },
      scheme === 'rediss' || scheme === 'valkeys' ? { tls: {} } : {},
      { username, password, db: databaseOf(db) },
      options,
    ),
  );
}

/** Opens connections to a cluster, by some of its servers. */
export function openCluster(uri: string, options: ClusterOptions): Cluster {
  const form = 'redis+cluster://[user:password@]host:port,host:port';
  const { username, password, hosts } = parseStorageUri(uri, form, DEFAULT_PORT);
  if (hosts.length === 0)
    throw new ConfigurationError(`A RedisClusterStorage needs at least one server: ${form}.`);
  const redisOptions = given({ username, password }, options.redisOptions ?? {});
  return new Cluster([...hosts], safeCluster({ ...options, redisOptions }));
}

/** Opens a connection to the primary that sentinels name. */
export function openSentinel(
  uri: string,
  serviceName: string | undefined,
  options: Partial<RedisOptions>,
): Redis {
  const form = 'redis+sentinel://[user:password@]host:port,host:port/service[/db]';
  const { username, password, hosts, path } = parseStorageUri(uri, form, DEFAULT_SENTINEL_PORT);
  const [, service = '', db = ''] = path.split('/');
  const name = serviceName ?? service;
  if (hosts.length === 0 || name === '') {
    throw new ConfigurationError(
      `A RedisSentinelStorage needs its sentinels and the name of the service: ${form}, or the option serviceName.`,
    );
  }
  const credentials = { username, password, db: databaseOf(db) } as Partial<RedisOptions>;
  const sentinelCommandTimeout = SAFE_OPTIONS.commandTimeout;
  return new Redis(safe({ sentinels: [...hosts], name, sentinelCommandTimeout }, credentials, options));
}

/** One of these comes when a connection is there, or is not; where no sentinel answers, it is only an error. */
const FIRST_EVENTS = ['ready', 'error', 'close', 'end'];

/** Settles when a client has connected for the first time, or has failed to. */
export function firstConnection(client: RedisClient): Promise<void> {
  if (client.status === 'ready') return Promise.resolve();
  return new Promise((resolve) => {
    const settle = (): void => {
      for (const event of FIRST_EVENTS) client.off(event, settle);
      resolve();
    };
    for (const event of FIRST_EVENTS) client.on(event, settle);
  });
}

/** Takes the command off an error, where the driver notes it with its arguments: it may be the one that logs in. */
export function forgetCommand(error: unknown): void {
  if (!(error instanceof Error)) return;
  const noted = error as Error & { command?: unknown; lastNodeError?: unknown };
  delete noted.command;
  forgetCommand(noted.lastNodeError);
}

function databaseOf(text: string | null): number | undefined {
  if (text === null || text === '') return undefined;
  if (!/^\d+$/.test(text))
    throw new ConfigurationError(`The database of a Redis URI must be a number; got "${text}".`);
  return Number(text);
}

/** Options put over one another, without those that are `undefined`. */
function given<T extends object>(...options: Partial<T>[]): Partial<T> {
  const entries = options.flatMap((some) => Object.entries(some)).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as Partial<T>;
}
