import { chain, type Awaitable } from '../common/awaitable.js';
import { systemClock, type Clock } from '../common/time.js';
import { ConfigurationError, isRateLimitError, StorageError, type RateLimitError } from '../common/errors.js';
import { describeValue, messageOf } from '../common/describe.js';
import { boundedIdentity } from '../common/identity.js';
import { strategyNames } from '../strategies/strategies.js';
import type { StrategyName } from '../strategies/strategy.js';
import type { BatchResult, Block, Cell, Hit, Outcome, Refund, StorageCapabilities } from './contract.js';
import { createLimit, type Limit } from './limit.js';
import { shownByName } from '../common/inspection.js';

/** Options of every storage. */
export interface StorageOptions {
  /** Begins every key on a shared server, and is all that `reset()` deletes. Default: `'nestjs-limits'`. */
  keyPrefix?: string | undefined;
  /** Where the time is read. Default: the server's clock where it has one, else this machine's. */
  clock?: Clock | undefined;
}

/** What the moving window needs of a storage, as in the Python library `limits`. Every {@link Storage} has it. */
export interface MovingWindowSupport {
  /**
   * Takes an entry in a moving window if it fits.
   *
   * @param limit units allowed
   * @param expiry length of the window in seconds
   * @param options `cost` (default 1), and `noAdd` to look without taking
   */
  acquireEntry(
    key: string,
    limit: number,
    expiry: number,
    options?: { cost?: number | undefined; noAdd?: boolean | undefined },
  ): Awaitable<boolean>;
  /**
   * Epoch ms of the oldest counted entry (now, if there is none) and the units that count. `expiry` is in seconds; `limit`
   * is there as in the Python library and changes nothing.
   */
  getMovingWindow(key: string, limit: number, expiry: number): Awaitable<[start: number, count: number]>;
  /** The units that count in a moving window. `expiry` is in seconds. */
  getNumAcquired(key: string, expiry: number): Awaitable<number>;
}

/**
 * Where limits are counted. A storage takes batches: every limit of a request in one call, all or none, against one
 * reading of one clock.
 *
 * Extend {@link CasStorage} rather than this class if your store can read and compare-and-set: it brings every strategy.
 * The conformance suite in `nestjs-limits/testing` tells whether a storage keeps this contract.
 *
 * Every method may throw, or reject with, a `StorageError` when the store fails; `check` never does. A closed storage
 * answers everything but `check` and `close` with a `StorageError`.
 */
@shownByName
export abstract class Storage implements MovingWindowSupport {
  /** What it can do; never changes. */
  abstract readonly capabilities: StorageCapabilities;
  /** Begins every key on a shared server. */
  readonly keyPrefix: string;
  /** Where the time is read, but for storages that read their server's unless they are given one. */
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

  /** Takes the cost of every hit, or of none if an enforced limit refuses. An attempt moves every open elastic end. */
  abstract consume(batch: readonly Hit[]): Awaitable<BatchResult>;
  /** Says what `consume` would answer now; changes nothing. */
  abstract peek(batch: readonly Hit[]): Awaitable<BatchResult>;
  /** Gives back what was consumed, where the window or entry it was taken from still counts. */
  abstract refund(refunds: readonly Refund[]): Awaitable<void>;
  /** Sets and lifts blocks of limits that have some; what was counted stays. */
  abstract block(blocks: readonly Block[]): Awaitable<void>;
  /** Forgets cells, their blocks included. */
  abstract remove(cells: readonly Cell[]): Awaitable<void>;
  /** Whether the store can count, within its deadline: one that answers, but takes no writes, cannot. Never throws. */
  abstract check(): Awaitable<boolean>;
  /** Forgets everything under our prefix; returns how many records that were. */
  abstract reset(): Awaitable<number>;
  /** Lets go of what this storage opened itself. Idempotent. */
  abstract close(): Awaitable<void>;

  /** Begins its connection anew, where it has opened one itself: called while the store does not answer. Never throws. */
  reconnect(): void {}

  /** Forgets what is counted under a key that `RateLimitItem.keyFor` made, or that `incr` or `acquireEntry` was given. */
  clear(key: string): Awaitable<void> {
    return this.remove(strategyNames.map((strategy) => cellOf(key, strategy, 1, MAX_PERIOD_MS)));
  }

  /**
   * Adds to a key's counter and returns its new value.
   *
   * @param expiry length of the window in seconds
   * @param elasticExpiry whether each hit starts the window's period anew
   */
  incr(key: string, expiry: number, elasticExpiry = false, amount = 1): Awaitable<number> {
    const strategy = elasticExpiry ? 'fixed-window-elastic-expiry' : 'fixed-window';
    const cell = cellOf(key, strategy, UNLIMITED, toPeriod(expiry));
    return chain(this.consume([{ ...cell, cost: amount }]), (result) => used(onlyOutcome(result)));
  }

  /** The value of a key's counter; 0 when nothing is counted. */
  get(key: string): Awaitable<number> {
    return chain(this.#peekCounters(key), (outcomes) => Math.max(...outcomes.map(used)));
  }

  /** Epoch seconds at which a key's counter ends; now, when nothing is counted. */
  getExpiry(key: string): Awaitable<number> {
    return chain(
      this.#peekCounters(key),
      (outcomes) => Math.max(...outcomes.map((outcome) => outcome.resetTime)) / 1000,
    );
  }

  acquireEntry(
    key: string,
    limit: number,
    expiry: number,
    { cost = 1, noAdd = false }: { cost?: number | undefined; noAdd?: boolean | undefined } = {},
  ): Awaitable<boolean> {
    const batch = [{ ...cellOf(key, 'moving-window', limit, toPeriod(expiry)), cost }];
    return chain(noAdd ? this.peek(batch) : this.consume(batch), (result) => result.allowed);
  }

  getMovingWindow(key: string, _limit: number, expiry: number): Awaitable<[start: number, count: number]> {
    const cell = cellOf(key, 'moving-window', this.capabilities.maxMovingWindow, toPeriod(expiry));
    return chain(this.peek([{ ...cell, cost: 0 }]), (result) => {
      const outcome = onlyOutcome(result);
      const count = used(outcome);
      return [count === 0 ? result.now : outcome.resetTime - cell.limit.period, count];
    });
  }

  getNumAcquired(key: string, expiry: number): Awaitable<number> {
    return chain(this.getMovingWindow(key, 0, expiry), ([, count]) => count);
  }

  /** Shows neither credentials nor options. */
  toString(): string {
    return this.constructor.name;
  }

  #peekCounters(key: string): Awaitable<readonly Outcome[]> {
    const counters = COUNTERS.map((strategy) => ({
      ...cellOf(key, strategy, UNLIMITED, MAX_PERIOD_MS),
      cost: 0,
    }));
    return chain(this.peek(counters), (result) => result.outcomes);
  }
}

/** The strategies that `incr` counts by. */
const COUNTERS = ['fixed-window', 'fixed-window-elastic-expiry'] as const;

const STORAGE_METHODS = [
  'consume',
  'peek',
  'refund',
  'block',
  'remove',
  'check',
  'reset',
  'close',
  'reconnect',
] as const satisfies readonly (keyof Storage)[];

/** Whether a value is a storage, made by whichever copy of this package. */
export function isStorage(value: unknown): value is Storage {
  return STORAGE_METHODS.every(
    (method) => typeof (value as Record<string, unknown> | null | undefined)?.[method] === 'function',
  );
}

/**
 * Refuses a limit that a storage cannot keep.
 *
 * @throws ConfigurationError naming the limit and the storage
 */
export function assertSupported(storage: Storage, limit: Limit): void {
  const { strategies, maxMovingWindow } = storage.capabilities;
  if (!strategies.includes(limit.strategy)) {
    throw new ConfigurationError(
      `${storage} has no strategy "${limit.strategy}", which the limit "${limit.name}" asks for. It has: ${strategies.join(', ')}.`,
    );
  }
  if (limit.strategy === 'moving-window' && limit.amount > maxMovingWindow) {
    throw new ConfigurationError(
      `The moving window "${limit.name}" of ${limit.amount} is too large for ${storage}, which holds up to ${maxMovingWindow}. ` +
        'Take "sliding-window-counter" or "token-bucket" for large amounts.',
    );
  }
}

/** What every storage throws once it is closed. */
export function closedError(storage: Storage): StorageError {
  return new StorageError(`${storage} is closed.`);
}

/** What a storage throws for what its store or driver has thrown. */
export function failureOf(storage: Storage, cause: unknown): RateLimitError {
  return isRateLimitError(cause)
    ? cause
    : new StorageError(`${storage} failed: ${messageOf(cause)}`, { cause });
}

/** More than anybody counts, and far enough from 2^53 for every driver to read it exactly. */
const UNLIMITED = 2 ** 50;

/** Long enough for any window, and still exact when added to the time. */
const MAX_PERIOD_MS = 2 ** 52;

/** Identity and item of a key that `keyFor` made; the item has at most 16 digits twice, and 80 letters. */
const ITEM_KEY = /^(.*)\/(\d{1,16}\/\d{1,16}\/[a-z]{1,80})$/s;

/** Returns the cell that a key of the per-key methods means: that of the item, if `keyFor` made the key. */
function cellOf(key: string, strategy: StrategyName, amount: number, period: number): Cell {
  const [, identity = key, item = ''] = ITEM_KEY.exec(key) ?? [];
  return {
    identity: boundedIdentity(identity),
    limit: createLimit({
      id: itemLimitId(item, strategy),
      name: boundedIdentity(key),
      strategy,
      amount,
      period,
    }),
  };
}

/** The id of a bare item's cell within its bucket. */
export function itemLimitId(cell: string, strategy: StrategyName): string {
  return `${cell}:${strategy}`;
}

function toPeriod(seconds: number): number {
  return Math.round(seconds * 1000);
}

function used(outcome: Outcome): number {
  return outcome.limit.amount - outcome.remaining;
}

/** What became of a batch of one hit. */
export function onlyOutcome({ outcomes }: BatchResult): Outcome {
  const [outcome] = outcomes;
  if (outcome === undefined)
    throw new StorageError('The storage answered a batch of one hit with no outcome.');
  return outcome;
}
