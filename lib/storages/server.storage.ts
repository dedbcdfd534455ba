import type { Awaitable } from '../common/awaitable.js';
import { assertTimeout, DEFAULT_TIMEOUT_MS, withTimeout } from '../common/time.js';
import { closedError, failureOf, Storage, type StorageOptions } from '../core/storage.js';

/** Options of every storage on a server. */
export interface ServerStorageOptions extends StorageOptions {
  /**
   * Timeout of a call in ms, including the wait in the queue and all attempts.
   *
   * @default 1000
   */
  timeout?: number | undefined;
}

/**
 * Base class of storages on a server. Closes once, and converts errors of the driver to a
 * `StorageError`.
 */
export abstract class ServerStorage extends Storage {
  /** Timeout of a call, in ms. */
  protected readonly timeout: number;
  #closed = false;
  /** Ms that the server's clock was ahead when it was outside of the calendar windows of a call. */
  #serverLead = 0;

  /** @throws ConfigurationError when an option is invalid */
  constructor({ timeout = DEFAULT_TIMEOUT_MS, ...options }: ServerStorageOptions = {}) {
    super(options);
    assertTimeout(String(this), timeout);
    this.timeout = timeout;
  }

  /**
   * Resolves if the store can count now, ideally after a test write. Throws or rejects if it
   * cannot.
   */
  protected abstract probe(): Awaitable<void>;

  /**
   * Returns what to change about the store, its user or the options; `undefined` for an error that
   * may pass by itself.
   */
  protected remedyFor(_cause: unknown): string | undefined {
    return undefined;
  }

  /** Closes the connections that this storage opened. Called once. */
  protected release(): Awaitable<void> {}

  /** True once `close` has been called. */
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
   * Calls the store once. Never retries, since the first call may have counted.
   *
   * @throws StorageError for every error of the call
   */
  protected async call<T>(call: () => Promise<T>): Promise<T> {
    if (this.#closed) throw closedError(this);
    try {
      return await call();
    } catch (cause) {
      throw failureOf(this, cause, this.remedyFor(cause));
    }
  }

  /**
   * Calls the store with the calendar windows near the server's time, so far as it is known. Calls
   * once more if that time was outside of these windows.
   *
   * @param ask calls the store with the windows near an instant in epoch ms
   * @param outsideOf returns the server's time from a reply that has counted nothing; otherwise `undefined`
   */
  protected async callNear<Reply>(
    ask: (near: number) => Promise<Reply>,
    outsideOf: (reply: Reply) => number | undefined,
  ): Promise<Reply> {
    const near = this.clock.now();
    const reply = await ask(near + this.#serverLead);
    const outside = outsideOf(reply);
    if (outside === undefined) return reply;
    this.#serverLead = outside - near;
    return ask(outside);
  }
}

/**
 * Returns the key of an identity's record on a server. A prefix contains no brace, so prefixes such
 * as `app` and `app:api` neither share keys nor reset each other's keys.
 */
export function identityKey(keyPrefix: string, identity: string): string {
  return `${identityKeys(keyPrefix)}${identity}}`;
}

/** Returns the prefix of the keys of all identities. No other keys have it. */
export function identityKeys(keyPrefix: string): string {
  return `${keyPrefix}:{`;
}
