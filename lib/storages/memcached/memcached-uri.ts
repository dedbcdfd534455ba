import { ConfigurationError } from '../../common/errors.js';
import { parseStorageUri } from '../storage-uri.js';

/** A Memcached server: how to connect to it, and its name, which places keys and stands in errors. */
export interface MemcachedServer {
  readonly name: string;
  readonly address: { readonly host: string; readonly port: number } | { readonly path: string };
}

/** What a URI names. */
export interface MemcachedTarget {
  readonly servers: readonly MemcachedServer[];
  readonly credentials: { readonly username: string; readonly password: string } | undefined;
}

const FORM = 'memcached://[user:password@]host:port,host:port or memcached://[user:password@]/path/to/socket';
const DEFAULT_PORT = 11_211;

/** @throws ConfigurationError that shows nothing of the URI, which may hold a password */
export function parseMemcachedUri(uri: string): MemcachedTarget {
  const { scheme, username, password, hosts, path, query } = parseStorageUri(uri, FORM, DEFAULT_PORT);
  const isSocket = hosts.length === 0;
  const isComplete =
    /^(gae)?memcached$/.test(scheme) &&
    (isSocket ? path.length > 1 : path.length <= 1) &&
    hosts.every(({ port }) => port >= 1 && port <= 65_535) &&
    query.size === 0 &&
    (username === undefined) === (password === undefined);
  if (!isComplete) throw new ConfigurationError(`The URI of a Memcached storage should look like ${FORM}.`);
  return {
    servers: isSocket ? [{ name: path, address: { path } }] : hosts.map(serverAt),
    credentials: username === undefined || password === undefined ? undefined : { username, password },
  };
}

function serverAt(address: { host: string; port: number }): MemcachedServer {
  const { host, port } = address;
  return { name: `${host.includes(':') ? `[${host}]` : host}:${port}`, address };
}
