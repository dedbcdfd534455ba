import type { Awaitable } from '../../common/awaitable.js';
import { strategyNames } from '../../strategies/strategies.js';
import type { StorageCapabilities } from '../../core/contract.js';
import { closedError } from '../../core/storage.js';
import { queueTimeoutError, withTimeout } from '../../common/time.js';
import { identityKey, identityKeys, type ServerStorageOptions } from '../server.storage.js';
import { RecordStorage, type Decide } from './record.storage.js';
import { retryUntilStored } from './retry-until-stored.js';

/** Options of every {@link CasStorage}. */
export type CasStorageOptions = ServerStorageOptions;

/** A stored text and its version. */
export interface VersionedText<Version> {
  /** The text that was passed to `compareAndSet`. */
  text: string;
  /** Changes with every replacement of the text. Passed back to `compareAndSet`. */
  version: Version;
}

/** The result of reading a key. Text and version are missing if the key is. */
export interface StoredText<Version> extends Partial<VersionedText<Version>> {
  /**
   * The server's time in epoch ms, a whole number. For storages that count by the server's clock.
   */
  now?: number;
}

/**
 * Base class of storages over any store with compare-and-set: it reads a text with its version, and
 * replaces the text if the version is still the same. Every strategy runs in this process, on all
 * limits of one identity together.
 *
 * Concurrent calls of this process on one identity are combined into one compare-and-set, so that
 * only processes contend. A lost race is retried up to 16 times with growing random pauses, and
 * then throws `ConcurrentUpdateError`. A call that times out throws a `StorageError`. It is never
 * retried, since it may have counted.
 *
 * @example
 * ```ts
 * import { CasStorage, type VersionedText } from 'nestjs-limits';
 *
 * class MapStorage extends CasStorage<number> {
 *   readonly #texts = new Map<string, VersionedText<number>>();
 *
 *   protected read(key: string) {
 *     return this.#texts.get(key);
 *   }
 *   protected compareAndSet(key: string, text: string, version: number | undefined) {
 *     if (this.#texts.get(key)?.version !== version) return false;
 *     this.#texts.set(key, { text, version: (version ?? 0) + 1 });
 *     return true;
 *   }
 *   protected probe() {}
 *   protected removeAll() {
 *     const { size } = this.#texts;
 *     this.#texts.clear();
 *     return size;
 *   }
 * }
 * ```
 */
export abstract class CasStorage<Version> extends RecordStorage {
  override readonly capabilities: StorageCapabilities;
  protected override readonly identitiesTogether = 1;

  /**
   * @param clock `'server'` if `read` always returns the server's time. The storage counts by it,
   *   unless the options have a clock
   * @throws ConfigurationError when an option is invalid
   */
  constructor(options: CasStorageOptions = {}, clock: StorageCapabilities['clock'] = 'local') {
    super(options);
    this.capabilities = {
      atomicity: 'identity',
      clock: options.clock === undefined ? clock : 'local',
      strategies: strategyNames,
      maxMovingWindow: 10_000,
    };
  }

  /**
   * Returns the text under a key with its version, and the server's time if the storage counts by
   * it. A missing key has no text.
   */
  protected abstract read(key: string): Awaitable<StoredText<Version> | undefined>;

  /**
   * Stores a text under a key if the version is still the given one. Returns true if it was stored.
   * The version `undefined` means that the key must be missing.
   *
   * @param ttl ms until the store may drop the text. Round up to the store's unit, never down. 0 if
   *   the text can be dropped now
   */
  protected abstract compareAndSet(
    key: string,
    text: string,
    version: Version | undefined,
    ttl: number,
  ): Awaitable<boolean>;

  /**
   * Removes every text whose key has the prefix. Returns their number. May take longer than the
   * timeout, since there may be many texts, but each step needs a timeout.
   */
  protected abstract removeAll(prefix: string): Awaitable<number>;

  override async reset(): Promise<number> {
    return this.call(async () => this.removeAll(identityKeys(this.keyPrefix)));
  }

  protected override async transact(
    [identity = '']: readonly string[],
    decide: Decide,
    since: number,
  ): Promise<void> {
    const key = identityKey(this.keyPrefix, identity);
    if (performance.now() >= since + this.timeout) throw queueTimeoutError(String(this), this.timeout);
    await this.call(() =>
      withTimeout(
        this.timeout,
        (signal) => retryUntilStored(this, () => this.#attempt(key, decide, signal)),
        since,
      ),
    );
  }

  /** Returns false if another process changed the record first. */
  async #attempt(key: string, decide: Decide, signal: AbortSignal): Promise<boolean> {
    this.#throwIfEnded(signal);
    const stored = await this.read(key);
    const now = this.capabilities.clock === 'server' ? stored?.now : undefined;
    const [write] = decide([stored?.text], now);
    if (write === undefined) return true;
    this.#throwIfEnded(signal);
    return this.compareAndSet(key, write.text, stored?.version, write.ttl);
  }

  /** Throws once the call has timed out or the storage is closed. */
  #throwIfEnded(signal: AbortSignal): void {
    signal.throwIfAborted();
    if (this.closed) throw closedError(this);
  }
}
