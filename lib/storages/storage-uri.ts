import { quote } from '../common/describe.js';
import { ConfigurationError } from '../common/errors.js';

/** Schemes by storage. For Redis, an `s` after the server's name means TLS. */
export const SCHEMES = {
  memory: ['memory'],
  redis: ['redis', 'rediss', 'redis+unix', 'valkey', 'valkeys', 'valkey+unix'],
  redisCluster: ['redis+cluster', 'rediss+cluster', 'valkey+cluster', 'valkeys+cluster'],
  redisSentinel: ['redis+sentinel', 'rediss+sentinel', 'valkey+sentinel', 'valkeys+sentinel'],
  memcached: ['memcached'],
  gaeMemcached: ['gaememcached'],
  mongodb: ['mongodb', 'mongodb+srv'],
  etcd: ['etcd'],
  postgresql: ['postgres', 'postgresql'],
} as const;

/** A server on the network. An IPv6 address has no brackets here. */
export interface HostAndPort {
  readonly host: string;
  readonly port: number;
}

/**
 * The parts of a storage URI:
 * `scheme://[user[:password]@]host[:port][,host[:port]…][/path][?query]`.
 */
export interface StorageUri {
  /** Lower case, without the `async+` of the Python library. */
  readonly scheme: string;
  /** Percent-decoded, like the password. */
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly hosts: readonly HostAndPort[];
  /** Percent-decoded, with its leading slash; empty when there is none. */
  readonly path: string;
  readonly query: URLSearchParams;
}

export interface Credentials {
  readonly username: string;
  readonly password: string;
}

const PARTS = /^(?:async\+)?([a-z][a-z0-9+.-]*):\/\/(?:([^@/]*)@)?([^/?]*)(\/[^?]*)?(?:\?(.*))?$/is;
const HOST = /^(?:\[([0-9a-f:.]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/i;

const MISSING_AT =
  'has a host whose port is no number. If that is a user and a password, an "@" must follow them: user:password@host, or :password@/path';

/**
 * Parses a storage URI.
 *
 * @param form the expected form, for errors
 * @param defaultPort for hosts without a port
 * @throws ConfigurationError when it is malformed. The message shows no part of the URI, since it
 *   may contain credentials
 */
export function parseStorageUri(uri: string, form: string, defaultPort: number): StorageUri {
  const [matched, scheme = '', credentials, hosts = '', path = '', query = ''] = PARTS.exec(uri) ?? [];
  const malformed = (what: string): ConfigurationError => malformedUri(what, form);
  if (matched === undefined) throw malformed('cannot be read');
  const decode = (text: string): string => {
    try {
      return decodeURIComponent(text);
    } catch {
      throw malformed('has a "%" that encodes nothing');
    }
  };
  const readHost = (text: string): HostAndPort => {
    const [found, bracketed, plain, digits] = HOST.exec(text.trim()) ?? [];
    const port = digits === undefined ? defaultPort : Number(digits);
    // The "@" is part of a password. Hosts are shown in errors, so they must not contain one.
    if (text.includes('@')) throw malformed('has an "@" too many');
    if (/^[^:[\]]*:(?!\d{1,5}$)/.test(text.trim())) throw malformed(MISSING_AT);
    if (found === undefined || port < 1 || port > 65_535) throw malformed('has a host that cannot be read');
    return { host: bracketed ?? decode(plain ?? ''), port };
  };
  if (hosts !== '' && path.includes('@')) throw malformed('has an "@" after a "/"');
  // The value of an option may contain an "@".
  if (hosts !== '' && /(?:^|&)[^=&]*@/.test(query)) throw malformed('has an "@" after a "?"');
  const [username, ...password] = credentials?.split(':') ?? [];
  return {
    scheme: scheme.toLowerCase(),
    username: username ? decode(username) : undefined,
    password: password.length > 0 ? decode(password.join(':')) : undefined,
    hosts: hosts === '' ? [] : hosts.split(',').map(readHost),
    path: decode(path),
    query: new URLSearchParams(query),
  };
}

/**
 * Throws a `ConfigurationError` for the scheme of another storage, or one that this storage does
 * not support, such as TLS.
 *
 * @param storage name of the storage, for the error
 * @param form the expected form of the URI, for the error
 */
export function assertScheme(storage: string, scheme: string, known: readonly string[], form: string): void {
  if (known.includes(scheme)) return;
  throw new ConfigurationError(
    `${storage} needs a URI of the form ${form}; got one with ${quote(`${scheme}://`)}.`,
  );
}

/**
 * Returns user and password of a URI, for servers that need both or neither.
 *
 * @throws ConfigurationError when only one of them is given
 */
export function credentialsOf({ username, password }: StorageUri, form: string): Credentials | undefined {
  if (username === undefined && password === undefined) return undefined;
  if (username === undefined || password === undefined)
    throw malformedUri('has half of its credentials', form);
  return { username, password };
}

/** Returns `host:port`, with brackets around an IPv6 address. */
export function hostName({ host, port }: HostAndPort): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

export function malformedUri(what: string, form: string): ConfigurationError {
  return new ConfigurationError(
    `The storage URI ${what}. It should look like ${form}, with reserved characters percent-encoded.`,
  );
}
