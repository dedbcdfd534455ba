import { Cluster, Redis, type ClusterOptions, type RedisOptions } from 'ioredis';
import { ConfigurationError } from '../../common/errors.js';
import { assertKnownOptions, withoutUndefined } from '../../common/options.js';
import { clusterConnector, DISCONNECT_TIMEOUT_MS, SentinelPrimaryConnector } from './redis-connectors.js';
import { parseClusterUri, parseRedisUri, parseSentinelUri } from './redis-uri.js';

/** A client that the storages can use: of a server, or of a cluster. */
export type RedisClient = Redis | Cluster;

/**
 * What every connection of ours is opened with: no command is ever sent twice, since the first time may have counted; none
 * waits in a queue for a connection to come back; none waits for an answer without end; and a server that has become a
 * replica is left for the new primary.
 */
const SAFE_OPTIONS = {
  maxRetriesPerRequest: 0,
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  disconnectTimeout: DISCONNECT_TIMEOUT_MS,
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
  clusterRetryStrategy: SAFE_OPTIONS.retryStrategy,
} as const satisfies ClusterOptions;

/** Our prefix begins every key. The driver's would come before it, but not in what `reset` asks for. */
const NO_PREFIX = { keyPrefix: '' } as const;

const SENTINEL_CONNECTOR = { Connector: SentinelPrimaryConnector } as const;

/** A connection that waits for its first command would keep the first call waiting for it. */
const AT_ONCE = { lazyConnect: false } as const;

const NOT_LAZY = { lazyConnect: 'A storage connects at once; while no server answers, only its calls fail.' };

/** Options of single connections, which the driver would not heed beside those of the cluster. */
const MISPLACED = Object.fromEntries(
  ['commandTimeout', 'connectTimeout', 'password', 'tls', 'username'].map((name) => [
    name,
    'It belongs into "redisOptions", with all that is said of connections to single servers.',
  ]),
);

/**
 * Opens a connection to one server. Options win over what the URI says.
 *
 * @param timeout ms that a command may take, and connecting
 * @throws ConfigurationError when the URI or an option is impossible, as every function that opens one
 */
export function openRedis(uri: string, options: Partial<RedisOptions>, timeout: number): Redis {
  refuse('A RedisStorage', options, NOT_LAZY);
  return new Redis(safe(timeout, parseRedisUri(uri), options));
}

/** Opens a connection of our own like a client's. */
export function copyRedis(client: Redis, options: Partial<RedisOptions>, timeout: number): Redis {
  refuse('A RedisStorage', options, NOT_LAZY);
  return client.duplicate({ ...safe(timeout, connectorFor(client.options), options), ...AT_ONCE });
}

/** Opens connections to a cluster, by some of its servers. */
export function openCluster(uri: string, options: ClusterOptions, timeout: number): Cluster {
  const { servers, secure, options: named } = parseClusterUri(uri);
  const tls = secure ? { tls: {} } : {};
  const redisOptions = over<RedisOptions>(tls, named, options.redisOptions ?? {});
  return closing(
    (connector) => new Cluster([...servers], safeCluster({ ...options, redisOptions }, timeout, connector)),
  );
}

/** Opens connections of our own like those of a client. */
export function copyCluster(client: Cluster, options: ClusterOptions, timeout: number): Cluster {
  const { Connector } = client.options.redisOptions ?? {};
  return closing((connector) =>
    client.duplicate([], {
      ...safeCluster(options, timeout, Connector === undefined ? connector : { Connector }),
      ...AT_ONCE,
    }),
  );
}

/** Opens a cluster client that closes all of its connections when it disconnects. */
function closing(open: (connector: Pick<RedisOptions, 'Connector'>) => Cluster): Cluster {
  const { Connector, destroySockets } = clusterConnector();
  return open({ Connector }).on('disconnecting', destroySockets);
}

/** Returns the connector for a copy of a client that finds its server through sentinels. */
function connectorFor({ sentinels, Connector }: RedisOptions): Pick<RedisOptions, 'Connector'> {
  return sentinels && Connector === undefined ? SENTINEL_CONNECTOR : {};
}

/** Opens a connection to the primary that sentinels name. */
export function openSentinel(
  uri: string,
  serviceName: string | undefined,
  options: Partial<RedisOptions>,
  timeout: number,
): Redis {
  refuse('A RedisSentinelStorage', options, NOT_LAZY);
  const { servers, secure, options: named } = parseSentinelUri(uri, serviceName);
  const tls = secure ? { tls: {}, sentinelTLS: options.tls ?? {} } : {};
  // Without, the driver heeds no `tls`, and would send the password for everybody to read.
  const heeded = secure || options.tls !== undefined ? { enableTLSForSentinelMode: true } : {};
  return new Redis(
    safe(timeout, { sentinels: [...servers] }, SENTINEL_CONNECTOR, tls, heeded, named, options),
  );
}

/**
 * Refuses what cannot be had with a client that is used as it is.
 *
 * @param name of the storage that is to use it
 * @param options all that the storage is given
 */
export function assertUsable(name: string, client: RedisClient, options: object): void {
  const where = `A ${name} on a given client with "duplicate: false"`;
  assertKnownOptions(where, withoutUndefined(options), ['clock', 'duplicate', 'keyPrefix'], {
    timeout: 'What counts is the commandTimeout of the client.',
  });
  if (!client.options.keyPrefix) return;
  throw new ConfigurationError(
    `A client with a keyPrefix cannot be used by a ${name} with "duplicate: false", for reset() would not find its keys. ` +
      'Leave that option out, or give a client without a keyPrefix: the storage has one of its own.',
  );
}

/** One of these comes when a connection is there, or is not; where no sentinel answers, it is only an error. */
const FIRST_EVENTS = ['ready', 'error', 'close', 'end'];

/** Settles when a client has connected for the first time, or has failed to; begins that where nobody has. */
export function firstConnection(client: RedisClient): Promise<void> {
  // One that has ended connects only when its owner says so.
  if (client.status === 'ready' || client.status === 'end') return Promise.resolve();
  return new Promise((resolve) => {
    const settle = (): void => {
      for (const event of FIRST_EVENTS) client.off(event, settle);
      resolve();
    };
    for (const event of FIRST_EVENTS) client.on(event, settle);
    if (client.status === 'wait') client.connect().catch(settle);
  });
}

/** Takes the command off an error, where the driver notes it with its arguments: it may be the one that logs in. */
export function forgetCommand(error: unknown): void {
  if (!(error instanceof Error)) return;
  const noted = error as Error & { command?: unknown; lastNodeError?: unknown };
  delete noted.command;
  forgetCommand(noted.lastNodeError);
}

/** Driver options over our own. */
function safe(timeout: number, ...options: Partial<RedisOptions>[]): Omit<RedisOptions, 'replyMapping'> {
  const timeouts = { commandTimeout: timeout, connectTimeout: timeout, sentinelCommandTimeout: timeout };
  return { ...SAFE_OPTIONS, ...timeouts, ...over(...options), ...NO_PREFIX };
}

function safeCluster(
  { redisOptions = {}, ...options }: ClusterOptions,
  timeout: number,
  connector: Pick<RedisOptions, 'Connector'>,
): Omit<ClusterOptions, 'redisOptions'> & { redisOptions: ReturnType<typeof safe> } {
  const prefix = { keyPrefix: 'What begins the keys is the keyPrefix of the storage.' };
  refuse('A RedisClusterStorage', options, { ...NOT_LAZY, ...MISPLACED });
  refuse('A RedisClusterStorage, in its redisOptions,', redisOptions, prefix);
  // By default the driver connects to the addresses of the names, for which there are no certificates.
  const byName: ClusterOptions = { dnsLookup: (name, callback) => callback(null, name) };
  return {
    ...SAFE_CLUSTER_OPTIONS,
    slotsRefreshTimeout: timeout,
    ...(redisOptions.tls === undefined ? {} : byName),
    ...withoutUndefined(options),
    ...NO_PREFIX,
    redisOptions: safe(timeout, connector, redisOptions),
  };
}

/** Refuses the options that there are hints for. */
function refuse(where: string, options: object, hints: Readonly<Record<string, string>>): void {
  const given = withoutUndefined(options);
  const others = Object.keys(given).filter((name) => !Object.hasOwn(hints, name));
  assertKnownOptions(where, given, others, hints);
}

/** Options put over one another; one that is `undefined` is not given. */
function over<T extends object>(...options: Partial<T>[]): Partial<T> {
  return Object.assign({}, ...options.map((some) => withoutUndefined(some))) as Partial<T>;
}
