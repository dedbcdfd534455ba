import { createSecureContext, type ConnectionOptions as TlsOptions } from 'node:tls';
import { messageOf } from '../../common/describe.js';
import { ConfigurationError, StorageError } from '../../common/errors.js';
import { assertKnownOptions } from '../../common/options.js';
import { CasStorage, type CasStorageOptions, type VersionedText } from '../cas/cas.storage.js';
import { closedError } from '../../core/storage.js';
import { assertConnection } from '../given-client.js';
import { findRemedy, type Remedies } from '../remedy.js';
import { MemcachedClient } from './memcached-client.js';
import { memcachedExpiry } from './memcached-expiry.js';
import { assertMemcachedPrefix, memcachedKey } from './memcached-key.js';
import { parseMemcachedUri } from './memcached-uri.js';

/** Options of {@link MemcachedStorage}. */
export interface MemcachedStorageOptions extends CasStorageOptions {
  /**
   * True for TLS, or options of Node's `tls.connect` (`ca`, `cert`, `key`, `servername`, …).
   *
   * @default false
   */
  tls?: boolean | TlsOptions | undefined;
}

const REMEDIES: Remedies = [
  [/CLIENT_ERROR (unauthenticated|authentication failure)/, 'Check user and password in the URI.'],
  [/unexpected answer "-(ERR|NOAUTH)/, 'The server is Redis: use redis://host:port (RedisStorage).'],
];

/** Has the length of a record with one limit: a server that is out of memory may still store shorter values. */
const PROBE = 'x'.repeat(48);

/**
 * Counts on one or several Memcached servers, by compare-and-set on one item per identity and the
 * clock of this process. Rendezvous hashing of the servers' names, as written in the URI, assigns
 * each identity to one server. While a server is down, calls for its identities throw a
 * `StorageError`; other identities are not affected.
 *
 * Memcached evicts items when it is out of memory, and loses all of them when it restarts. It
 * cannot list keys, so `reset` always fails.
 *
 * @example
 * ```ts
 * import { parse, SlidingWindowCounterRateLimiter } from 'nestjs-limits';
 * import { MemcachedStorage } from 'nestjs-limits/memcached';
 *
 * const limiter = new SlidingWindowCounterRateLimiter(new MemcachedStorage('memcached://10.0.0.1,10.0.0.2:11212'));
 * const allowed = await limiter.hit(parse('100/hour'), 'user', '42');
 * ```
 */
export class MemcachedStorage extends CasStorage<string> {
  readonly #client: MemcachedClient;

  /**
   * @param uri `memcached://[user:password@]host[:port],…`, port 11211 by default and IPv6
   *   addresses in brackets, or `memcached://[user:password@]/path/to/socket`; user and password
   *   are for servers with `--auth-file`
   * @throws ConfigurationError when the URI or an option is invalid; never shows the URI
   */
  constructor(uri: string, options: MemcachedStorageOptions = {}) {
    assertKnownOptions('MemcachedStorage', options, ['clock', 'keyPrefix', 'timeout', 'tls']);
    assertConnection(
      'A MemcachedStorage',
      uri,
      [],
      'a URI, since it has a client of its own: memcached://host:port',
    );
    super(options);
    const { tls = false } = options;
    assertMemcachedPrefix(this.keyPrefix);
    this.#client = new MemcachedClient(parseMemcachedUri(uri), {
      timeout: Math.ceil(this.timeout * 0.9), // before the call times out, so that the error names the server
      tls: tls === false ? undefined : loadTlsOptions(tls === true ? {} : tls),
    });
  }

  /** Resolves if every server stores a value. */
  protected override probe(): Promise<void> {
    // The key has no brace, so it is not the key of an identity.
    return this.#client.probe(`${this.keyPrefix}#check`, PROBE, memcachedExpiry(0, Date.now()));
  }

  protected override remedyFor(cause: unknown): string | undefined {
    return findRemedy(REMEDIES, cause);
  }

  override reconnect(): void {
    if (!this.closed) this.#client.reconnect();
  }

  protected override async read(key: string): Promise<VersionedText<string> | undefined> {
    return this.#client.gets(memcachedKey(this.keyPrefix, key));
  }

  protected override async compareAndSet(
    key: string,
    text: string,
    version: string | undefined,
    ttl: number,
  ): Promise<boolean> {
    const name = memcachedKey(this.keyPrefix, key);
    const expiry = memcachedExpiry(ttl, Date.now());
    // Sent in the same turn of the event loop as the read, and so on the same connection. A server
    // that has restarted since, with new versions, never receives an old one.
    return version === undefined
      ? this.#client.add(name, text, expiry)
      : this.#client.cas(name, text, expiry, version);
  }

  protected override removeAll(): never {
    throw new StorageError(
      `${this} cannot reset: Memcached does not list keys. Remove single cells, use another keyPrefix, ` +
        'or have an operator empty the servers (flush_all), which takes what others keep there as well.',
    );
  }

  protected override release(): void {
    this.#client.close(closedError(this));
  }
}

/** {@link MemcachedStorage} under its App Engine name. Memorystore for Memcached serves that cache today. */
export class GAEMemcachedStorage extends MemcachedStorage {}

/** Loads keys and certificates once, so that an invalid one stops the start of the application. */
function loadTlsOptions(options: TlsOptions): TlsOptions {
  try {
    return { secureContext: createSecureContext(options), ...options };
  } catch (cause) {
    throw new ConfigurationError(`The tls options of a MemcachedStorage cannot be used: ${messageOf(cause)}`);
  }
}
