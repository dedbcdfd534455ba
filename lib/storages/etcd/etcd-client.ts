import { Etcd3, GRPCDeadlineExceededError, isRecoverableError, type IOptions } from 'etcd3';
import { withoutUndefined } from '../../common/options.js';
import {
  credentialsOf,
  hostName,
  malformedUri,
  parseStorageUri,
  type HostAndPort,
  type StorageUri,
} from '../storage-uri.js';

/** Options of `etcd3`, without those for retries and timeouts. */
export type EtcdClientOptions = Omit<IOptions, 'hosts' | 'faultHandling' | 'defaultCallOptions'>;

type FaultHandling = NonNullable<IOptions['faultHandling']>;
type FaultPolicy = NonNullable<FaultHandling['global']>;

const FORM = 'etcd://[user:password@]host:port,host:port (for TLS, the option "credentials")';
const DEFAULT_PORT = 2379;

/** Ms for which a failed server is skipped while others are up. */
const SERVER_COOLDOWN_MS = 1000;

/**
 * Reconnects within a second of the server's return; the driver's default pauses grow to two
 * minutes. Each client has its own connections: by default, a new client reuses those of a closed
 * one, even dead ones.
 */
const CHANNEL_OPTIONS = {
  'grpc.use_local_subchannel_pool': 1,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.min_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1000,
};

/**
 * Opens a client that never retries a call. Options override the URI.
 *
 * @param timeout timeout of a login, in ms; each call has a separate deadline
 */
export function openEtcd(text: string, options: EtcdClientOptions, timeout: number): Etcd3 {
  const uri = parseEtcdUri(text);
  const { auth = credentialsOf(uri, FORM), grpcOptions } = options;
  return new Etcd3({
    ...withoutUndefined(options),
    ...(auth && { auth }),
    grpcOptions: { ...CHANNEL_OPTIONS, ...grpcOptions },
    hosts: uri.hosts.map(hostName),
    defaultCallOptions: ({ isStream }) => (isStream ? {} : deadlineAt(performance.now() + timeout)),
    faultHandling: sendOnce(),
  });
}

/**
 * Returns the call options for a deadline by `performance.now()`. The driver compares deadlines
 * with `new Date()`, which an application's tests may have mocked separately from `Date.now()`.
 */
export function deadlineAt(end: number): { deadline: number } {
  return { deadline: new Date().getTime() + end - performance.now() };
}

/** Returns the addresses of the servers in a URI. */
export function etcdAddresses(text: string): readonly HostAndPort[] {
  return parseEtcdUri(text).hosts;
}

function parseEtcdUri(text: string): StorageUri {
  const uri = parseStorageUri(text, FORM, DEFAULT_PORT);
  const { scheme, hosts, path, query } = uri;
  if (scheme !== 'etcd' || hosts.length === 0 || path.length > 1 || query.size > 0) {
    throw malformedUri('does not name etcd servers and nothing else', FORM);
  }
  return uri;
}

/**
 * Replaces the driver's retries and circuit breakers. No call is sent twice. A server that fails is
 * skipped while others are up; after a cooldown, one call tries it again.
 */
function sendOnce(): FaultHandling {
  const servers: { skippedUntil: number }[] = [];
  const isUp = ({ skippedUntil }: { skippedUntil: number }): boolean => skippedUntil <= performance.now();
  return {
    global: policy((call) => call()),
    host: (name) => {
      const server = { skippedUntil: 0 };
      let connected = false;
      servers.push(server);
      return policy(async (call) => {
        // Nothing was sent: the driver tries the next server.
        if (!isUp(server) && servers.some(isUp)) throw new Error(`${name} failed a moment ago.`);
        if (server.skippedUntil > 0) server.skippedUntil = performance.now() + SERVER_COOLDOWN_MS;
        try {
          const answer = await call();
          server.skippedUntil = 0;
          connected = true;
          return answer;
        } catch (error) {
          if (isRecoverableError(error as Error))
            server.skippedUntil = performance.now() + SERVER_COOLDOWN_MS;
          // After a timeout the driver opens another connection, and nothing can close the one that
          // is still connecting. With a server that never replies, connections would pile up.
          if (error instanceof GRPCDeadlineExceededError && !connected)
            throw new Error(error.message, { cause: error });
          connected = false;
          throw error;
        }
      });
    },
  };
}

/** Returns a policy of the driver with the only method that it uses. */
function policy(execute: <T>(call: () => Promise<T>) => Promise<T>): FaultPolicy {
  const { signal } = new AbortController();
  return {
    execute: (call: (context: { signal: AbortSignal }) => unknown) => execute(async () => call({ signal })),
  } as FaultPolicy;
}
