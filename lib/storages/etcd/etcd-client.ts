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

/** Options of `etcd3`, but for those that decide what is sent twice, and how long it may take. */
export type EtcdClientOptions = Omit<IOptions, 'hosts' | 'faultHandling' | 'defaultCallOptions'>;

type FaultHandling = NonNullable<IOptions['faultHandling']>;
type FaultPolicy = NonNullable<FaultHandling['global']>;

const FORM = 'etcd://[user:password@]host:port,host:port (for TLS, the option "credentials")';
const DEFAULT_PORT = 2379;

/** How long a server that failed is passed over, in ms, while there are others. */
const SERVER_COOLDOWN_MS = 1000;

/**
 * Back within a second of the server; the driver's own pauses grow to two minutes. And every client has connections of its own: by
 * default a new one gets those of another that has just been closed, though they went dead.
 */
const CHANNEL_OPTIONS = {
  'grpc.use_local_subchannel_pool': 1,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.min_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1000,
};

/**
 * Opens a client that sends nothing twice. Options win over what the URI says.
 *
 * @param timeout ms that logging in may take; each call brings a deadline of its own
 */
export function openEtcd(text: string, options: EtcdClientOptions, timeout: number): Etcd3 {
  const uri = parseEtcdUri(text);
  const { auth = credentialsOf(uri, FORM), grpcOptions } = options;
  return new Etcd3({
    ...withoutUndefined(options),
    ...(auth && { auth }),
    grpcOptions: { ...CHANNEL_OPTIONS, ...grpcOptions },
    hosts: uri.hosts.map(hostName),
    defaultCallOptions: ({ isStream }) => (isStream ? {} : endingAt(performance.now() + timeout)),
    faultHandling: sendOnce(),
  });
}

/**
 * Tells the driver to give a call up at an instant by `performance.now()`. The driver compares with the machine's clock as
 * `new Date()` reads it, which an application's tests may have set apart from `Date.now()`.
 */
export function endingAt(end: number): { deadline: number } {
  return { deadline: new Date().getTime() + end - performance.now() };
}

/** Where the servers are that a URI names. */
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
 * Instead of the driver's retries and circuit breakers: no call is sent again. While some servers fail, calls go to the
 * others; each that fails is tried again after a rest, by one call.
 */
function sendOnce(): FaultHandling {
  const servers: { restsUntil: number }[] = [];
  const isUp = ({ restsUntil }: { restsUntil: number }): boolean => restsUntil <= performance.now();
  return {
    global: policy((call) => call()),
    host: (name) => {
      const server = { restsUntil: 0 };
      let connected = false;
      servers.push(server);
      return policy(async (call) => {
        // The driver goes on to the next server: this one has not been asked.
        if (!isUp(server) && servers.some(isUp)) throw new Error(`${name} failed a moment ago.`);
        if (server.restsUntil > 0) server.restsUntil = performance.now() + SERVER_COOLDOWN_MS;
        try {
          const answer = await call();
          server.restsUntil = 0;
          connected = true;
          return answer;
        } catch (error) {
          if (isRecoverableError(error as Error)) server.restsUntil = performance.now() + SERVER_COOLDOWN_MS;
          // The driver connects anew after such an error, and lets nobody end a connection that is still being made: one that
          // is never answered would stay, and then another.
          if (error instanceof GRPCDeadlineExceededError && !connected)
            throw new Error(error.message, { cause: error });
          connected = false;
          throw error;
        }
      });
    },
  };
}

/** A policy in the driver's terms, of which it uses no more than this. */
function policy(execute: <T>(call: () => Promise<T>) => Promise<T>): FaultPolicy {
  const { signal } = new AbortController();
  return {
    execute: (call: (context: { signal: AbortSignal }) => unknown) => execute(async () => call({ signal })),
  } as FaultPolicy;
}
