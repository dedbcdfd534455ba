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

/** A stored text, and what its store calls its version. */
export interface VersionedText<Version> {
  /** As `compareAndSet` was given it. */
  text: string;
  /** What changes whenever the text is replaced, and is handed to `compareAndSet`. */
  version: Version;
}

/** What a store has under a key. */
export interface StoredText<Version> extends Partial<VersionedText<Version>> {
  /** The server's time in epoch ms, a whole number: for storages that count by the server's clock. */
  now?: number;
}

/**
 * A storage over any store that can read a text with its version and replace it if the version is still the same. It runs
 * every strategy in this process, on all limits of one identity at once, and writes the outcome if nobody was faster.
 *
 * Concurrent calls of this process on one identity are combined into one compare-and-set, so that only processes contend.
 * A lost race is run again up to 16 times, with growing random pauses; then `ConcurrentUpdateError`. What the store has not
 * answered within the timeout fails with a `StorageError`; it may still be counted, but is never tried again.
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
   * @param clock `'server'` where `read` always tells the server's time, by which is counted then unless the options bring a clock
   * @throws ConfigurationError when an option is impossible
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

  /** The text stored under a key, its version, and the server's time if it decides; no text when there is none. */
  protected abstract read(key: string): Awaitable<StoredText<Version> | undefined>;

  /**
   * Stores a text under a key if its version is still the given one; `undefined` stands for no text. Answers whether it did.
   *
   * @param ttl ms after which the store may forget the text; never less, round up to what the store knows. 0 when the text
   *   says nothing any more
   */
  protected abstract compareAndSet(
    key: string,
    text: string,
    version: Version | undefined,
    ttl: number,
  ): Awaitable<boolean>;

  /**
   * Removes every text whose key begins so; returns how many. May take longer than the timeout, since there may be many: see to
   * it that it ends.
   */
  protected abstract removeAll(beginning: string): Awaitable<number>;

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
        (late) => retryUntilStored(this, () => this.#attempt(key, decide, late)),
        since,
      ),
    );
  }

  /** Answers whether nobody else was faster. */
  async #attempt(key: string, decide: Decide, late: AbortSignal): Promise<boolean> {
    this.#assertWanted(late);
    const stored = await this.read(key);
    const now = this.capabilities.clock === 'server' ? stored?.now : undefined;
    const [write] = decide([stored?.text], now);
    if (write === undefined) return true;
    this.#assertWanted(late);
    return this.compareAndSet(key, write.text, stored?.version, write.ttl);
  }

  /** Ends what nobody waits for any more. */
  #assertWanted(late: AbortSignal): void {
    late.throwIfAborted();
    if (this.closed) throw closedError(this);
  }
}
