import {
  credentialsOf,
  hostName,
  malformedUri,
  parseStorageUri,
  type Credentials,
  type HostAndPort,
} from '../storage-uri.js';

/** A Memcached server: its address, and its name for the placement of keys and for errors. */
export interface MemcachedServer {
  readonly name: string;
  readonly address: HostAndPort | { readonly path: string };
}

/** The servers and credentials of a URI. */
export interface MemcachedTarget {
  readonly servers: readonly MemcachedServer[];
  readonly credentials: Credentials | undefined;
}

const FORM =
  'memcached://[user:password@]host:port,host:port or memcached://[user:password@]/path/to/socket (for TLS, the option "tls")';
const DEFAULT_PORT = 11_211;

/** @throws ConfigurationError whose message shows no part of the URI, since it may contain a password */
export function parseMemcachedUri(text: string): MemcachedTarget {
  const uri = parseStorageUri(text, FORM, DEFAULT_PORT);
  const { scheme, hosts, path, query } = uri;
  const isSocket = hosts.length === 0;
  const namesServers = isSocket ? path.length > 1 : path.length <= 1;
  if (!/^(gae)?memcached$/.test(scheme) || !namesServers || query.size > 0) {
    throw malformedUri('does not name Memcached servers and nothing else', FORM);
  }
  return {
    servers: isSocket
      ? [{ name: path, address: { path } }]
      : hosts.map((address) => ({ name: hostName(address), address })),
    credentials: credentialsOf(uri, FORM),
  };
}
