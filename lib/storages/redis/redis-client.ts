import { Cluster, Redis, type ClusterOptions, type RedisOptions } from 'ioredis';
import { ConfigurationError } from '../../common/errors.js';
import { assertKnownOptions, withoutUndefined } from '../../common/options.js';
import { assertConnection } from '../given-client.js';
import { clusterConnector, DISCONNECT_TIMEOUT_MS, SentinelPrimaryConnector } from './redis-connectors.js';
import { parseClusterUri, parseRedisUri, parseSentinelUri } from './redis-uri.js';

/** A client of one server or of a cluster. */
export type RedisClient = Redis | Cluster;

/**
 * Options of every connection that a storage opens. No command is sent twice, since the first one
 * may have counted. No command waits in a queue for a reconnection. The client reconnects when its
 * server has become a replica.
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
 * The same for a cluster. Redirections are followed, since a server does not execute a command that
 * it redirects. The offline queue is needed while a server of a connected cluster is connecting;
 * the driver's own checks fail without it.
 */
const SAFE_CLUSTER_OPTIONS = {
  enableOfflineQueue: true,
  retryDelayOnFailover: 0,
  maxRedirections: 4,
  clusterRetryStrategy: SAFE_OPTIONS.retryStrategy,
} as const satisfies ClusterOptions;

/**
 * Disables the driver's prefix. The driver would add it to keys, but not to the pattern that
 * `reset` scans for.
 */
const NO_PREFIX = { keyPrefix: '' } as const;

const SENTINEL_CONNECTOR = { Connector: SentinelPrimaryConnector } as const;

/** Connects immediately. A lazy connection would delay the first call. */
const EAGER = { lazyConnect: false } as const;

const NOT_LAZY = { lazyConnect: 'A storage connects immediately; without a server, only its calls fail.' };

/** Hints for options of single connections, which the driver ignores among those of a cluster. */
const MISPLACED = Object.fromEntries(
  ['commandTimeout', 'connectTimeout', 'password', 'tls', 'username'].map((name) => [
    name,
    'It belongs in "redisOptions", with all options of connections to single servers.',
  ]),
);

/**
 * Opens a connection to one server. Options override the URI. Like every function that opens a
 * client, it throws on invalid options.
 *
 * @param timeout timeout in ms of a command, and of connecting
 * @throws ConfigurationError when the URI or an option is invalid
 */
export function openRedis(uri: string, options: Partial<RedisOptions>, timeout: number): Redis {
  refuse('A RedisStorage', options, NOT_LAZY);
  return new Redis(safe(timeout, parseRedisUri(uri), options));
}

/** Opens a connection with the options of a client. */
export function copyRedis(client: Redis, options: Partial<RedisOptions>, timeout: number): Redis {
  refuse('A RedisStorage', options, NOT_LAZY);
  return client.duplicate({ ...safe(timeout, connectorFor(client.options), options), ...EAGER });
}

/** Opens connections to a cluster, starting from some of its servers. */
export function openCluster(uri: string, options: ClusterOptions, timeout: number): Cluster {
  const { servers, secure, options: named } = parseClusterUri(uri);
  const tls = secure ? { tls: {} } : {};
  const redisOptions = merge<RedisOptions>(tls, named, options.redisOptions ?? {});
  return closing(
    (connector) => new Cluster([...servers], safeCluster({ ...options, redisOptions }, timeout, connector)),
  );
}

/** Opens connections to a cluster with the options of a client. */
export function copyCluster(client: Cluster, options: ClusterOptions, timeout: number): Cluster {
  const { Connector } = client.options.redisOptions ?? {};
  return closing((connector) =>
    client.duplicate([], {
      ...safeCluster(options, timeout, Connector === undefined ? connector : { Connector }),
      ...EAGER,
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

/** Opens a connection to the primary that the sentinels report. */
export function openSentinel(
  uri: string,
  serviceName: string | undefined,
  options: Partial<RedisOptions>,
  timeout: number,
): Redis {
  refuse('A RedisSentinelStorage', options, NOT_LAZY);
  const { servers, secure, options: named } = parseSentinelUri(uri, serviceName);
  const tls = secure ? { tls: {}, sentinelTLS: options.tls ?? {} } : {};
  // Without this option the driver ignores `tls`, and sends the password unencrypted.
  const tlsForPrimary = secure || options.tls !== undefined ? { enableTLSForSentinelMode: true } : {};
  return new Redis(
    safe(timeout, { sentinels: [...servers] }, SENTINEL_CONNECTOR, tls, tlsForPrimary, named, options),
  );
}

/** Methods of `ioredis` that no other client has together. */
const CLIENT_METHODS = ['defineCommand', 'duplicate', 'disconnect'];

/**
 * Throws a `ConfigurationError` for a client of another driver, and of the other class of `ioredis`.
 *
 * @param name name of the storage
 */
export function assertClient(name: string, connection: unknown, isCluster: boolean): void {
  const [own, other, otherStorage] = isCluster
    ? ['Cluster', 'Redis', 'RedisStorage']
    : ['Redis', 'Cluster', 'RedisClusterStorage'];
  assertConnection(
    `A ${name}`,
    connection,
    CLIENT_METHODS,
    `a URI or a ${own} of the package "ioredis", and no client of another package such as "redis" or "@upstash/redis"`,
  );
  if (typeof connection === 'string' || (connection as RedisClient).isCluster === isCluster) return;
  throw new ConfigurationError(
    `A ${name} takes a ${own} of "ioredis"; got a ${other}. Use ${otherStorage}: new ${otherStorage}(client).`,
  );
}

/**
 * Throws a `ConfigurationError` for options that have no effect on a client used with
 * `duplicate: false`.
 *
 * @param name name of the storage
 * @param options all options of the storage
 */
export function assertUsable(name: string, client: RedisClient, options: object): void {
  const where = `A ${name} on a given client with "duplicate: false"`;
  assertKnownOptions(where, withoutUndefined(options), ['clock', 'duplicate', 'keyPrefix'], {
    timeout: 'The commandTimeout of the client applies.',
  });
  if (!client.options.keyPrefix) return;
  throw new ConfigurationError(
    `A client with a keyPrefix cannot be used by a ${name} with "duplicate: false", since reset() would not find its keys. ` +
      'Omit that option, or pass a client without a keyPrefix: the storage has its own.',
  );
}

/**
 * One of these events ends the first attempt to connect. If no sentinel responds, it is only
 * `error`.
 */
const FIRST_EVENTS = ['ready', 'error', 'close', 'end'];

/**
 * Resolves when the first attempt to connect has succeeded or failed. Starts the attempt of a lazy
 * client.
 */
export function firstConnection(client: RedisClient): Promise<void> {
  // A client that has ended connects only when its owner calls `connect`.
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

/**
 * Turns off the driver's timer per command on connections that are ready, since each costs as much
 * as a reply. Until then, it bounds the commands by which the driver connects.
 *
 * @returns the timeout of a command in ms, which the caller has to apply
 */
export function takeOverTimeout(client: RedisClient): number | undefined {
  if (client.isCluster) {
    client.on('+node', takeOverTimeout);
    return (client as Cluster).options.redisOptions?.commandTimeout;
  }
  const { options } = client as Redis;
  const { commandTimeout } = options;
  if (commandTimeout === undefined) return undefined;
  client.on('ready', () => delete options.commandTimeout);
  client.on('close', () => (options.commandTimeout = commandTimeout));
  return commandTimeout;
}

/**
 * Removes the command that the driver attaches to an error. Its arguments may contain the password.
 */
export function forgetCommand(error: unknown): void {
  if (!(error instanceof Error)) return;
  const driverError = error as Error & { command?: unknown; lastNodeError?: unknown };
  delete driverError.command;
  forgetCommand(driverError.lastNodeError);
}

/** Merges the given driver options over the safe defaults. */
function safe(timeout: number, ...options: Partial<RedisOptions>[]): Omit<RedisOptions, 'replyMapping'> {
  const timeouts = { commandTimeout: timeout, connectTimeout: timeout, sentinelCommandTimeout: timeout };
  return { ...SAFE_OPTIONS, ...timeouts, ...merge(...options), ...NO_PREFIX };
}

function safeCluster(
  { redisOptions = {}, ...options }: ClusterOptions,
  timeout: number,
  connector: Pick<RedisOptions, 'Connector'>,
): Omit<ClusterOptions, 'redisOptions'> & { redisOptions: ReturnType<typeof safe> } {
  const prefix = { keyPrefix: 'Keys begin with the keyPrefix of the storage.' };
  refuse('A RedisClusterStorage', options, { ...NOT_LAZY, ...MISPLACED });
  refuse('A RedisClusterStorage, in its redisOptions,', redisOptions, prefix);
  // By default the driver connects to resolved addresses, which certificates do not name.
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

/** Throws a `ConfigurationError` for the options that have a hint. */
function refuse(where: string, options: object, hints: Readonly<Record<string, string>>): void {
  const given = withoutUndefined(options);
  const others = Object.keys(given).filter((name) => !Object.hasOwn(hints, name));
  assertKnownOptions(where, given, others, hints);
}

/** Merges options. Later ones win, unless they are `undefined`. */
function merge<T extends object>(...options: Partial<T>[]): Partial<T> {
  return Object.assign({}, ...options.map((some) => withoutUndefined(some))) as Partial<T>;
}
