import { chain, type Awaitable } from '../common/awaitable.js';
import { systemClock, type Clock } from '../common/time.js';
import { ConfigurationError, isRateLimitError, StorageError, type RateLimitError } from '../common/errors.js';
import { describeValue, messageOf } from '../common/describe.js';
import { shownByName } from '../common/inspection.js';
import type { BatchResult, Block, Cell, Hit, Settlement, StorageCapabilities } from './contract.js';
import type { Limit } from './limit.js';
import {
  acquireEntry,
  clearKey,
  incrementCounter,
  readCounter,
  readCounterExpiry,
  readMovingWindow,
  type MovingWindowSupport,
} from './per-key-methods.js';
import type { SettingsStore } from './settings-store.js';

/** Options of every storage. */
export interface StorageOptions {
  /**
   * Prefix of every key on a shared server, without white space, braces and control characters.
   * `reset()` deletes only keys with this prefix.
   *
   * @default 'nestjs-limits'
   */
  keyPrefix?: string | undefined;
  /**
   * The clock to count by; a `ManualClock` for tests.
   *
   * @default the server's if the store has one, else this machine's
   * @see docs/testing.md
   */
  clock?: Clock | undefined;
}

/**
 * Base class of storages, which count limits. A storage consumes batches: every limit of a request
 * in one call, all or none, at one reading of one clock.
 *
 * Extend {@link CasStorage} instead of this class if your store supports compare-and-set: it
 * implements every strategy. The conformance suite in `nestjs-limits/testing` tests this contract.
 *
 * Every method except `check` may throw, or reject with, a `StorageError` when the store fails.
 * After `close`, every method except `check` and `close` throws one.
 */
@shownByName
export abstract class Storage implements MovingWindowSupport {
  /** The features of the storage. They never change. */
  abstract readonly capabilities: StorageCapabilities;
  /** Prefix of every key on a shared server. */
  readonly keyPrefix: string;
  /**
   * The clock to count by. A storage that counts by its server's clock uses it only if the options
   * have one.
   */
  protected readonly clock: Clock;

  constructor({ keyPrefix = 'nestjs-limits', clock = systemClock }: StorageOptions = {}) {
    if (typeof keyPrefix !== 'string' || !/^[^\s{}\p{Cc}]+$/u.test(keyPrefix)) {
      throw new ConfigurationError(
        `The keyPrefix of a storage must be a non-empty string without white space, braces and control characters; got ${describeValue(keyPrefix)}.`,
      );
    }
    this.keyPrefix = keyPrefix;
    this.clock = clock;
  }

  /**
   * Consumes the cost of every hit, or of none if an enforced limit refuses. Allowed or refused,
   * extends open elastic windows.
   */
  abstract consume(batch: readonly Hit[]): Awaitable<BatchResult>;
  /** Returns the result that `consume` would return now. Changes nothing. */
  abstract peek(batch: readonly Hit[]): Awaitable<BatchResult>;
  /**
   * Settles hits to their actual cost, if the window or entry that counts them has not ended.
   * Charges even above the limit. Returns one outcome per settlement, in order, with the new cost
   * and window of the hit.
   */
  abstract settle(settlements: readonly Settlement[]): Awaitable<BatchResult>;
  /** Sets and lifts blocks, on limits with the `block` option. Counts are kept. */
  abstract block(blocks: readonly Block[]): Awaitable<void>;
  /** Removes cells and their blocks. */
  abstract remove(cells: readonly Cell[]): Awaitable<void>;
  /**
   * Returns true if the store can count within its timeout. A store that responds but rejects
   * writes cannot. Never throws.
   */
  abstract check(): Awaitable<boolean>;
  /** Removes everything under the key prefix. Returns the number of identities that had counts. */
  abstract reset(): Awaitable<number>;
  /**
   * Removes the cells of limits, and their blocks, for all identities.
   *
   * @throws StorageError if the storage cannot list its keys
   */
  removeLimits(_limits: readonly Limit[]): Awaitable<void> {
    throw new StorageError(
      `${this} cannot remove the counts of all identities: it lists no keys. Remove those of each identity.`,
    );
  }
  /** Closes the connections that this storage opened. Idempotent. */
  abstract close(): Awaitable<void>;

  /** The settings that all processes on this store share. Default: `undefined`, for a storage that cannot. */
  get settings(): SettingsStore | undefined {
    return undefined;
  }

  /**
   * Replaces a connection that this storage opened. Called while the store does not respond. Never
   * throws.
   */
  reconnect(): void {}

  /**
   * Removes the counts of a key that was made by `RateLimitItem.keyFor`, or passed to `incr` or
   * `acquireEntry`.
   */
  clear(key: string): Awaitable<void> {
    return clearKey(this, key);
  }

  /**
   * Adds to a key's counter and returns its new value.
   *
   * @param expiry length of the window in seconds
   * @param elasticExpiry true if each hit restarts the window's period
   * @param amount a whole number from 0
   * @throws RangeError for any other amount; ConfigurationError for an expiry of less than a ms
   */
  incr(key: string, expiry: number, elasticExpiry = false, amount = 1): Awaitable<number> {
    return incrementCounter(this, key, expiry, { elasticExpiry, amount });
  }

  /** Returns the value of a key's counter; 0 if there is none. */
  get(key: string): Awaitable<number> {
    return readCounter(this, key);
  }

  /** Returns the epoch seconds at which a key's counter expires; now if there is none. */
  getExpiry(key: string): Awaitable<number> {
    return readCounterExpiry(this, key);
  }

  acquireEntry(
    key: string,
    limit: number,
    expiry: number,
    { cost = 1, noAdd = false }: { cost?: number | undefined; noAdd?: boolean | undefined } = {},
  ): Awaitable<boolean> {
    return acquireEntry(this, key, limit, expiry, { cost, noAdd });
  }

  getMovingWindow(key: string, _limit: number, expiry: number): Awaitable<[start: number, count: number]> {
    return readMovingWindow(this, key, expiry);
  }

  getNumAcquired(key: string, expiry: number): Awaitable<number> {
    return chain(this.getMovingWindow(key, 0, expiry), ([, count]) => count);
  }

  /** Returns the name of the class, without credentials and options. */
  toString(): string {
    return this.constructor.name;
  }
}

const STORAGE_METHODS = [
  'consume',
  'peek',
  'settle',
  'block',
  'remove',
  'check',
  'reset',
  'close',
  'reconnect',
] as const satisfies readonly (keyof Storage)[];

/** Returns true for a storage, also one from another copy of this package. */
export function isStorage(value: unknown): value is Storage {
  return STORAGE_METHODS.every(
    (method) => typeof (value as Record<string, unknown> | null | undefined)?.[method] === 'function',
  );
}

/**
 * Checks that a storage supports a limit.
 *
 * @throws ConfigurationError naming the limit and the storage
 */
export function assertSupported(storage: Storage, limit: Limit): void {
  const { strategies, maxMovingWindow } = storage.capabilities;
  if (!strategies.includes(limit.strategy)) {
    throw new ConfigurationError(
      `${storage} has no strategy "${limit.strategy}", which the limit "${limit.name}" requires. It has: ${strategies.join(', ')}.`,
    );
  }
  if (limit.strategy === 'concurrency' && limit.amount > maxMovingWindow)
    throw new ConfigurationError(
      `The limit "${limit.name}" of ${limit.amount} concurrent requests is too large for ${storage}, which holds up to ${maxMovingWindow} slots.`,
    );
  if (limit.strategy === 'moving-window' && limit.amount > maxMovingWindow) {
    throw new ConfigurationError(
      `The moving window "${limit.name}" of ${limit.amount} is too large for ${storage}, which holds up to ${maxMovingWindow}. ` +
        'Take "sliding-window-counter" or "token-bucket" for large amounts.',
    );
  }
}

/** Returns the clock of a storage, also of one that does not extend {@link Storage}. */
export function clockOf(storage: Storage): Clock {
  return (storage as unknown as { readonly clock?: Clock }).clock ?? systemClock;
}

/**
 * Returns a function that tells the ms since this call by the storage's clock. The system's clock may
 * be set back, so a monotonic one counts too.
 */
export function startStopwatch(storage: Storage): () => number {
  const clock = clockOf(storage);
  const [start, monotonic] = [clock.now(), performance.now()];
  return clock === systemClock
    ? () => Math.max(clock.now() - start, performance.now() - monotonic)
    : () => clock.now() - start;
}

/** Returns the error that every storage throws after `close`. */
export function closedError(storage: Storage): StorageError {
  return new StorageError(`${storage} is closed.`);
}

/**
 * Converts an error of a store or driver to the error that the storage throws.
 *
 * @param remedy what to change, for a permanent error
 */
export function failureOf(storage: Storage, cause: unknown, remedy?: string): RateLimitError {
  if (isRateLimitError(cause)) return cause;
  return new StorageError(`${storage} failed: ${withRemedy(messageOf(cause), remedy)}`, { cause });
}

/** Appends a remedy to the message of an error. */
export function withRemedy(message: string, remedy: string | undefined): string {
  if (remedy === undefined) return message;
  return `${message}${message.endsWith('.') ? '' : '.'} ${remedy}`;
}
