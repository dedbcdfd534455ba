import { createSecureContext, type ConnectionOptions as TlsOptions } from 'node:tls';
import { messageOf } from '../../common/describe.js';
import { ConfigurationError, StorageError } from '../../common/errors.js';
import { assertKnownOptions } from '../../common/options.js';
import { CasStorage, type CasStorageOptions, type VersionedText } from '../cas/cas.storage.js';
import { closedError } from '../../core/storage.js';
import { MemcachedClient } from './memcached-client.js';
import { memcachedExpiry } from './memcached-expiry.js';
import { assertMemcachedPrefix, memcachedKey } from './memcached-key.js';
import { parseMemcachedUri } from './memcached-uri.js';

/** Options of {@link MemcachedStorage}. */
export interface MemcachedStorageOptions extends CasStorageOptions {
  /** Whether to encrypt, or how: options of `tls.connect` in Node, such as `ca`. Default: false. */
  tls?: boolean | TlsOptions | undefined;
}

/** As long as the record of an identity with one limit: what is out of room may still have some for less. */
const PROBE = 'x'.repeat(48);

/**
 * Counts on one or several Memcached servers: one item per identity, by compare-and-set, with the clock of this process.
 * Every identity has one server, by rendezvous hashing of the servers' names as the URI has them; while that server is down,
 * its identities get a `StorageError`, and the others notice nothing.
 *
 * Memcached forgets what it has no room for, and everything when it restarts. It cannot list keys, so that `reset` always
 * fails.
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
   * @param uri `memcached://[user:password@]host[:port],…`, port 11211 by default and IPv6 addresses in brackets, or
   *   `memcached://[user:password@]/path/to/socket`; user and password for servers that run with `--auth-file`
   * @throws ConfigurationError when the URI or an option cannot be read; never shows the URI
   */
  constructor(uri: string, options: MemcachedStorageOptions = {}) {
    assertKnownOptions('MemcachedStorage', options, ['clock', 'keyPrefix', 'timeout', 'tls']);
    super(options);
    const { tls = false } = options;
    assertMemcachedPrefix(this.keyPrefix);
    this.#client = new MemcachedClient(parseMemcachedUri(uri), {
      timeout: Math.ceil(this.timeout * 0.9), // sooner than the call itself, for it knows which server it was
      tls: tls === false ? undefined : securedBy(tls === true ? {} : tls),
    });
  }

  /** Every server answers, and stores what it is given. */
  protected override probe(): Promise<void> {
    // No brace: nobody's key.
    return this.#client.probe(`${this.keyPrefix}#check`, PROBE, memcachedExpiry(0, Date.now()));
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
    // In the turn of the event loop in which it was read, so by the same connection: a server that has restarted since, and
    // begun its versions anew, is never told one of before.
    return version === undefined
      ? this.#client.add(name, text, expiry)
      : this.#client.cas(name, text, expiry, version);
  }

  protected override removeAll(): never {
    throw new StorageError(
      `${this} cannot reset: Memcached does not list keys. Remove single cells, begin anew under another keyPrefix, ` +
        'or have an operator empty the servers (flush_all), which takes what others keep there as well.',
    );
  }

  protected override release(): void {
    this.#client.close(closedError(this));
  }
}

/** {@link MemcachedStorage} by the name that it has on App Engine, whose cache is served by Memorystore for Memcached today. */
export class GAEMemcachedStorage extends MemcachedStorage {}

/** Reads keys and certificates once, so that those which cannot be read stop the start. */
function securedBy(options: TlsOptions): TlsOptions {
  try {
    return { secureContext: createSecureContext(options), ...options };
  } catch (cause) {
    throw new ConfigurationError(`The tls options of a MemcachedStorage cannot be used: ${messageOf(cause)}`);
  }
}
