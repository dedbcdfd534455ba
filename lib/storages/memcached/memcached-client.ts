import { isIP, connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions as TlsOptions } from 'node:tls';
import type { VersionedText } from '../cas/cas.storage.js';
import type { Credentials } from '../storage-uri.js';
import { MemcachedConnection } from './memcached-connection.js';
import type { MemcachedServer, MemcachedTarget } from './memcached-uri.js';
import { Rendezvous } from './rendezvous.js';

/*
 * Why a client of our own, when npm has several: to count, one needs compare-and-set, a deadline for every command, and the
 * certainty that none is sent twice. Of those tried under load and faults, `memcached` hangs when a server stops (it has no
 * deadline per command), `memcache-client` spreads one key over the servers at random and lets a line break in a key inject
 * a command, `memjs` has no `cas`, `memcache` sends `get` for `gets`, and `memcache-plus` throws where nobody can catch it.
 * Four commands of a text protocol are little code; they were seen to be exact, at a quarter of the cost.
 */

export interface MemcachedClientOptions {
  /** Ms from a command to its answer; connecting counts. */
  readonly timeout: number;
  /** `undefined`: not encrypted. */
  readonly tls: TlsOptions | undefined;
}

/** What the lines mean that answer `add` and `cas`. */
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
 * The text protocol of Memcached, over one or several servers. A key has one server; while that is down its commands fail,
 * for another server would begin to count anew. Keys are up to 250 visible ASCII characters (see `memcachedKey`), values
 * Latin-1. Every method rejects with an `Error` when a server fails or does not answer in time.
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

  /** Stores a value where there is none; answers whether it did. */
  async add(key: string, value: string, expiry: number): Promise<boolean> {
    return this.#store(key, `add ${key} 0 ${expiry} ${value.length}\r\n${value}\r\n`, ADDED);
  }

  /** Replaces a value if it still has this version; answers whether it did. */
  async cas(key: string, value: string, expiry: number, version: string): Promise<boolean> {
    return this.#store(key, `cas ${key} 0 ${expiry} ${value.length} ${version}\r\n${value}\r\n`, REPLACED);
  }

  /**
   * Resolves when every server has stored a value, told its version and deleted it again. Whatever answers may have no room, or
   * be no use for counting.
   */
  async probe(key: string, value: string, expiry: number): Promise<void> {
    await Promise.all(this.#connections.map((server) => probeServer(server, key, value, expiry)));
  }

  /** Begins the connections anew that do not answer. */
  reconnect(): void {
    for (const connection of this.#connections) connection.reconnect();
  }

  /** Ends every connection; what has not been answered fails with the error. */
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

/** Others may do the same at the same time, so that the value may have gone already. */
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

/** Has ended before it begins, lest a server that does not ask for a password keeps it as a value. */
const NEVER_KEPT = -1;

/** What logs in to a server that runs with `--auth-file`: it takes the first `set` for user name and password. */
function authentication({ username, password }: Credentials): string {
  const words = Buffer.from(`${username} ${password}`).toString('latin1');
  return `set auth 0 ${NEVER_KEPT} ${words.length}\r\n${words}\r\n`;
}
