import { isIP, connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions as TlsOptions } from 'node:tls';
import type { VersionedText } from '../cas/cas.storage.js';
import type { Credentials } from '../storage-uri.js';
import { MemcachedConnection } from './memcached-connection.js';
import type { MemcachedServer, MemcachedTarget } from './memcached-uri.js';
import { Rendezvous } from './rendezvous.js';

/*
 * This client exists because none on npm has all that counting needs: compare-and-set, a timeout per command, and no automatic
 * retries. Under load and faults, `memcached` hangs when a server stops, since it has no timeout per command. `memcache-client`
 * spreads one key over the servers at random, and a line break in a key injects a command. `memjs` has no `cas`, `memcache`
 * sends `get` for `gets`, and `memcache-plus` throws errors that cannot be caught. The four commands of the text protocol are
 * little code, exact in the tests, and cost a quarter.
 */

export interface MemcachedClientOptions {
  /** Timeout of a command in ms, including the time to connect. */
  readonly timeout: number;
  /** `undefined` for an unencrypted connection. */
  readonly tls: TlsOptions | undefined;
}

/** The results of the reply lines to `add` and `cas`. */
const ADDED: ReadonlyMap<string, boolean> = new Map([
  ['STORED', true],
  ['NOT_STORED', false],
]);
const REPLACED: ReadonlyMap<string, boolean> = new Map([
  ['STORED', true],
  ['EXISTS', false],
  ['NOT_FOUND', false],
]);

/**
 * Speaks the text protocol of Memcached to one or several servers. Each key belongs to one server.
 * While that server is down, its commands fail, because another server would count from zero. Keys
 * have up to 250 visible ASCII characters (see `memcachedKey`), values are Latin-1. Every method
 * rejects with an `Error` when a server fails or times out.
 */
export class MemcachedClient {
  readonly #connections: readonly MemcachedConnection[];
  readonly #places: Rendezvous<MemcachedConnection>;

  constructor({ servers, credentials }: MemcachedTarget, { timeout, tls }: MemcachedClientOptions) {
    const greeting = credentials === undefined ? '' : authentication(credentials);
    this.#connections = servers.map(
      (server) =>
        new MemcachedConnection({ name: server.name, timeout, greeting, connect: () => open(server, tls) }),
    );
    this.#places = new Rendezvous(this.#connections, ({ name }) => name);
  }

  async gets(key: string): Promise<VersionedText<string> | undefined> {
    return getsFrom(this.#places.place(key), key);
  }

  /** Stores a value under a new key. Returns false if the key exists. */
  async add(key: string, value: string, expiry: number): Promise<boolean> {
    return this.#store(key, `add ${key} 0 ${expiry} ${value.length}\r\n${value}\r\n`, ADDED);
  }

  /** Replaces a value if it still has this version. Returns false otherwise. */
  async cas(key: string, value: string, expiry: number, version: string): Promise<boolean> {
    return this.#store(key, `cas ${key} 0 ${expiry} ${value.length} ${version}\r\n${value}\r\n`, REPLACED);
  }

  /**
   * Resolves when every server has stored a value, returned its version and deleted it. A server
   * that merely responds may be out of memory, or run without compare-and-set.
   */
  async probe(key: string, value: string, expiry: number): Promise<void> {
    await Promise.all(this.#connections.map((server) => probeServer(server, key, value, expiry)));
  }

  /** Replaces the connections that do not respond. */
  reconnect(): void {
    for (const connection of this.#connections) connection.reconnect();
  }

  /** Closes every connection. Commands in flight reject with the error. */
  close(error: Error): void {
    for (const connection of this.#connections) connection.close(error);
  }

  async #store(key: string, command: string, answers: ReadonlyMap<string, boolean>): Promise<boolean> {
    const { line } = await this.#places.place(key).send(command, (answer) => answers.has(answer));
    return answers.get(line) === true;
  }
}

async function getsFrom(
  server: MemcachedConnection,
  key: string,
): Promise<VersionedText<string> | undefined> {
  const { line, value } = await server.send(
    `gets ${key}\r\n`,
    (answer) => answer === 'END' || answer.startsWith(`VALUE ${key} `),
  );
  if (value === undefined) return undefined;
  const version = line.slice(line.lastIndexOf(' ') + 1);
  if (version === '0') throw new Error(`${server.name} runs without compare-and-set (its option -C).`);
  return { text: value, version };
}

/**
 * Stores, reads and deletes a value on one server. Other processes may delete it first, so a
 * missing value is no failure.
 */
async function probeServer(
  server: MemcachedConnection,
  key: string,
  value: string,
  expiry: number,
): Promise<void> {
  await Promise.all([
    server.send(`set ${key} 0 ${expiry} ${value.length}\r\n${value}\r\n`, (answer) => answer === 'STORED'),
    getsFrom(server, key),
    server.send(`delete ${key}\r\n`, (answer) => answer === 'DELETED' || answer === 'NOT_FOUND'),
  ]);
}

function open({ address }: MemcachedServer, tls: TlsOptions | undefined): Socket {
  if (tls === undefined) return connectTcp(address);
  const servername = 'host' in address && isIP(address.host) === 0 ? { servername: address.host } : {};
  return connectTls({ ...servername, ...tls, ...address });
}

/** Expires immediately, so that a server without authentication does not store the password as a value. */
const EXPIRED = -1;

/**
 * Returns the command that logs in to a server with `--auth-file`: it reads user and password from
 * the first `set`.
 */
function authentication({ username, password }: Credentials): string {
  const words = Buffer.from(`${username} ${password}`).toString('latin1');
  return `set auth 0 ${EXPIRED} ${words.length}\r\n${words}\r\n`;
}
