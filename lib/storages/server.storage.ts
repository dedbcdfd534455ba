import type { Awaitable } from '../common/awaitable.js';
import { assertTimeout, DEFAULT_TIMEOUT_MS, withTimeout } from '../common/time.js';
import { closedError, failureOf, Storage, type StorageOptions } from '../core/storage.js';

/** Options of every storage on a server. */
export interface ServerStorageOptions extends StorageOptions {
  /** Ms within which a call is answered or fails, waiting for its turn and all attempts included. Default: 1000. */
  timeout?: number | undefined;
}

/** A storage on a server: it closes once, and turns what its driver throws into a `StorageError`. */
export abstract class ServerStorage extends Storage {
  /** Ms that a call may take. */
  protected readonly timeout: number;
  #closed = false;

  /** @throws ConfigurationError when an option is impossible */
  constructor({ timeout = DEFAULT_TIMEOUT_MS, ...options }: ServerStorageOptions = {}) {
    super(options);
    assertTimeout(String(this), timeout);
    this.timeout = timeout;
  }

  /** Resolves if the store would count now, which it shows best by writing something; throws or rejects if not. */
  protected abstract probe(): Awaitable<void>;

  /** Lets go of what this storage opened. Called once. */
  protected release(): Awaitable<void> {}

  /** Whether `close` has been called. */
  protected get closed(): boolean {
    return this.#closed;
  }

  override async check(): Promise<boolean> {
    return this.call(() => withTimeout(this.timeout, async () => this.probe())).then(
      () => true,
      () => false,
    );
  }

  override async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.release();
  }

  /**
   * Calls the store once, never again: the first call may have counted.
   *
   * @throws StorageError for whatever the call throws
   */
  protected async call<T>(call: () => Promise<T>): Promise<T> {
    if (this.#closed) throw closedError(this);
    try {
      return await call();
    } catch (cause) {
      throw failureOf(this, cause);
    }
  }
}

/**
 * The key of an identity's record on a server. No prefix has a brace, so that prefixes may begin alike (`app`, `app:api`) and
 * neither share a key nor reset each other's: all keys of one begin with `identityKeys`, and no others do.
 */
export function identityKey(keyPrefix: string, identity: string): string {
  return `${identityKeys(keyPrefix)}${identity}}`;
}

/** What the keys of all identities begin with. */
export function identityKeys(keyPrefix: string): string {
  return `${keyPrefix}:{`;
}
