import type { Awaitable } from '../../common/awaitable.js';
import { strategyNames } from '../../strategies/strategies.js';
import type { StorageCapabilities } from '../../core/contract.js';
import { closedError } from '../../core/storage.js';
import { queueTimeoutError, withTimeout } from '../../common/time.js';
import { CallGatherer, type Waiting } from '../call-gatherer.js';
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

/** A text to store under a key if the version is still the given one. */
export interface Replacement<Version> {
  /** The key of an identity. */
  key: string;
  /** The text to store. */
  text: string;
  /** The version that was read. `undefined` means that the key must be missing. */
  version: Version | undefined;
  /** Ms until the store may drop the text, as for `compareAndSet`. */
  ttl: number;
}

/** One attempt to decide the calls on one identity. */
interface Attempt {
  readonly key: string;
  readonly decide: Decide;
  /** Aborted when the calls have timed out. */
  readonly signal: AbortSignal;
}

/** Resolves with false if another process changed the record first. */
type WaitingAttempt = Waiting<Attempt, boolean>;

/** An attempt that changes its record. */
interface Change<Version> {
  readonly entry: WaitingAttempt;
  readonly replacement: Replacement<Version>;
}

/** Maximum rounds of reading and replacing in flight. Attempts that arrive during them share the next one. */
const MAX_ROUNDS = 2;

/** The only group of attempts: all of them may share a round. */
const ALL = 'all';

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
 * Each identity takes two calls of the store. If it can read and replace several keys in one call,
 * implement `readMany` and `compareAndSetMany` too: the identities of one turn of the event loop,
 * up to 64, then take two calls together.
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
  /** Not for subclasses. */
  protected override readonly identitiesTogether = 1;
  readonly #gatherer = new CallGatherer<typeof ALL, Attempt, boolean>(MAX_ROUNDS, (_group, waiting) =>
    withTimeout(this.timeout, () => this.#round(waiting)).catch(() => undefined),
  );

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
   * Reads several keys in one call. Returns the results in the order of the keys. Implement it with
   * `compareAndSetMany`; a single key is still read by `read`.
   *
   * @param keys 2 to 64 different keys
   */
  protected readMany?(keys: readonly string[]): Awaitable<readonly (StoredText<Version> | undefined)[]>;

  /**
   * Does what `compareAndSet` does, for several keys in one call. Returns the results in the order of
   * the replacements. An `Error` fails only the calls on that key; what is thrown fails them all.
   *
   * @param replacements of 2 to 64 different keys
   */
  protected compareAndSetMany?(
    replacements: readonly Replacement<Version>[],
  ): Awaitable<readonly (boolean | Error)[]>;

  /** Resolves if the store can count now, ideally after a test write. Throws or rejects if it cannot. */
  protected abstract override probe(): Awaitable<void>;

  /**
   * Lists keys with a prefix, in order, a page at a time: those after the last key of the page before
   * it; an empty page ends the list. Without it, `removeLimits` throws.
   *
   * @param last `''` for the first page
   */
  protected override keysAfter?(prefix: string, last: string): Awaitable<readonly string[]>;

  /** Closes the connections that this storage opened. Called once. */
  protected override release(): Awaitable<void> {}

  /**
   * Removes every text whose key has the prefix. Returns their number. May take longer than the
   * timeout, since there may be many texts, but each step needs a timeout.
   */
  protected abstract removeAll(prefix: string): Awaitable<number>;

  override async reset(): Promise<number> {
    return this.call(async () => this.removeAll(identityKeys(this.keyPrefix)));
  }

  /** Not for subclasses. */
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
        (signal) => retryUntilStored(this, () => this.#try({ key, decide, signal })),
        since,
      ),
    );
  }

  /** Returns false if another process changed the record first. */
  #try(attempt: Attempt): Promise<boolean> {
    if (this.readMany !== undefined && this.compareAndSetMany !== undefined)
      return this.#gatherer.add(ALL, attempt);
    return new Promise((resolve, reject) => {
      void this.#round([{ item: attempt, since: performance.now(), resolve, reject }]);
    });
  }

  /** Reads the texts of some attempts, decides each, and replaces those that change. */
  async #round(waiting: readonly WaitingAttempt[]): Promise<void> {
    try {
      if (this.closed) throw closedError(this);
      const live = waiting.filter(({ item }) => !item.signal.aborted);
      const texts = await this.#read([...new Set(live.map(({ item }) => item.key))]);
      if (this.closed) throw closedError(this);
      const changes = live.flatMap((entry) => this.#decide(entry, texts.get(entry.item.key)));
      const results = await this.#replace(changes.map(({ replacement }) => replacement));
      changes.forEach(({ entry }, index) => {
        const result = results[index];
        if (typeof result === 'boolean') entry.resolve(result);
        else entry.reject(result ?? new Error('the store returned no result for a key'));
      });
    } catch (error) {
      for (const { reject } of waiting) reject(error);
    }
  }

  async #read(keys: readonly string[]): Promise<Map<string, StoredText<Version> | undefined>> {
    const texts =
      this.readMany !== undefined && keys.length > 1
        ? await this.readMany(keys)
        : await Promise.all(keys.map(async (key) => this.read(key)));
    return new Map(keys.map((key, index) => [key, texts[index]]));
  }

  /** Returns the replacement of an attempt. Settles an attempt that needs none, or whose decision fails. */
  #decide(entry: WaitingAttempt, stored: StoredText<Version> | undefined): Change<Version>[] {
    const { key, decide, signal } = entry.item;
    if (signal.aborted) return [];
    try {
      const now = this.capabilities.clock === 'server' ? stored?.now : undefined;
      const [write] = decide([stored?.text], now);
      if (write !== undefined)
        return [{ entry, replacement: { key, version: stored?.version, text: write.text, ttl: write.ttl } }];
      entry.resolve(true);
    } catch (error) {
      entry.reject(error);
    }
    return [];
  }

  async #replace(replacements: readonly Replacement<Version>[]): Promise<readonly (boolean | Error)[]> {
    return this.compareAndSetMany !== undefined && replacements.length > 1
      ? this.compareAndSetMany(replacements)
      : Promise.all(
          replacements.map(async ({ key, text, version, ttl }) =>
            this.compareAndSet(key, text, version, ttl),
          ),
        );
  }
}
