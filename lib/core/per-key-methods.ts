import { chain, type Awaitable } from '../common/awaitable.js';
import { boundedIdentity } from '../common/identity.js';
import { strategyNames } from '../strategies/strategies.js';
import type { StrategyName } from '../strategies/strategy.js';
import {
  assertCost,
  onlyOutcome,
  type BatchResult,
  type Cell,
  type Hit,
  type Outcome,
  type StorageCapabilities,
} from './contract.js';
import { createLimit } from './limit.js';

// The per-key methods of the Python library `limits`, in terms of the batches of a storage.

/**
 * The methods of a storage for moving windows, as in the Python library `limits`. Every
 * `Storage` has them.
 */
export interface MovingWindowSupport {
  /**
   * Adds an entry to a moving window if it fits. Returns true if it was added.
   *
   * @param limit units allowed
   * @param expiry length of the window in seconds
   * @param options `cost`, a whole number from 0 (default 1), and `noAdd` to check without adding
   * @throws RangeError for any other cost; ConfigurationError for an invalid limit or expiry
   */
  acquireEntry(
    key: string,
    limit: number,
    expiry: number,
    options?: { cost?: number | undefined; noAdd?: boolean | undefined },
  ): Awaitable<boolean>;
  /**
   * Returns the epoch ms of the oldest entry that counts (now if there is none), and the units that
   * count. `expiry` is in seconds. `limit` is part of the Python library's signature and has no
   * effect.
   */
  getMovingWindow(key: string, limit: number, expiry: number): Awaitable<[start: number, count: number]>;
  /** Returns the units that count in a moving window. `expiry` is in seconds. */
  getNumAcquired(key: string, expiry: number): Awaitable<number>;
}

/** The methods of a storage in terms of which those by key are written. */
interface Batches {
  readonly capabilities: StorageCapabilities;
  consume(batch: readonly Hit[]): Awaitable<BatchResult>;
  peek(batch: readonly Hit[]): Awaitable<BatchResult>;
  remove(cells: readonly Cell[]): Awaitable<void>;
}

/** Removes the counts of a key, whatever strategy counted them. */
export function clearKey(storage: Batches, key: string): Awaitable<void> {
  return storage.remove(strategyNames.map((strategy) => cellOf(key, strategy, 1, MAX_PERIOD_MS)));
}

/** Adds to a counter. Returns its new value. */
export function incrementCounter(
  storage: Batches,
  key: string,
  expiry: number,
  { elasticExpiry, amount }: { readonly elasticExpiry: boolean; readonly amount: number },
): Awaitable<number> {
  assertCost(amount);
  const strategy = elasticExpiry ? 'fixed-window-elastic-expiry' : 'fixed-window';
  const cell = cellOf(key, strategy, UNLIMITED, toPeriod(expiry));
  return chain(storage.consume([{ ...cell, cost: amount }]), (result) => used(onlyOutcome(result)));
}

/** Returns the value of a counter; 0 if there is none. */
export function readCounter(storage: Batches, key: string): Awaitable<number> {
  return chain(peekCounters(storage, key), (outcomes) => Math.max(...outcomes.map(used)));
}

/** Returns the epoch seconds at which a counter expires; now if there is none. */
export function readCounterExpiry(storage: Batches, key: string): Awaitable<number> {
  return chain(
    peekCounters(storage, key),
    (outcomes) => Math.max(...outcomes.map(({ resetTime }) => resetTime)) / 1000,
  );
}

/** Adds an entry to a moving window if it fits, or checks only. Returns true if it fits. */
export function acquireEntry(
  storage: Batches,
  key: string,
  limit: number,
  expiry: number,
  { cost, noAdd }: { readonly cost: number; readonly noAdd: boolean },
): Awaitable<boolean> {
  assertCost(cost);
  const batch = [{ ...cellOf(key, 'moving-window', limit, toPeriod(expiry)), cost }];
  return chain(noAdd ? storage.peek(batch) : storage.consume(batch), ({ allowed }) => allowed);
}

/** Returns the epoch ms of the oldest entry that counts (now if there is none), and the units that count. */
export function readMovingWindow(
  storage: Batches,
  key: string,
  expiry: number,
): Awaitable<[start: number, count: number]> {
  const period = toPeriod(expiry);
  const cell = cellOf(key, 'moving-window', storage.capabilities.maxMovingWindow, period);
  return chain(storage.peek([{ ...cell, cost: 0 }]), (result) => {
    const outcome = onlyOutcome(result);
    const count = used(outcome);
    return [count === 0 ? result.now : outcome.resetTime - period, count];
  });
}

/** The strategies of counters. `incr` counts with the first two. */
const COUNTERS = ['fixed-window', 'fixed-window-elastic-expiry', 'calendar-window'] as const;

function peekCounters(storage: Batches, key: string): Awaitable<readonly Outcome[]> {
  const counters = COUNTERS.map((strategy) => ({
    ...cellOf(key, strategy, UNLIMITED, MAX_PERIOD_MS),
    cost: 0,
  }));
  return chain(storage.peek(counters), ({ outcomes }) => outcomes);
}

/** An amount that no counter reaches, small enough for every driver to read exactly. */
const UNLIMITED = 2 ** 50;

/** The name of limits by key. It does not contain the key, since metrics show names. */
const LIMIT_NAME = 'key';

/** Longer than any window, and still exact when added to the time. */
const MAX_PERIOD_MS = 2 ** 52;

/**
 * Splits a key made by `keyFor` into identity and item. The item has at most 16 digits twice, and
 * 80 letters.
 */
const ITEM_KEY = /^(.*)\/(\d{1,16}\/\d{1,16}\/[a-z]{1,80})$/s;

/** Returns the cell of a key. A key made by `keyFor` has the cell of its item. */
function cellOf(key: string, strategy: StrategyName, amount: number, period: number): Cell {
  const [, identity = key, item = ''] = ITEM_KEY.exec(key) ?? [];
  return {
    identity: boundedIdentity(identity),
    limit: createLimit({
      id: itemLimitId(item, strategy),
      name: LIMIT_NAME,
      // A key does not tell the calendar. The cells of both strategies are the same.
      strategy: strategy === 'calendar-window' ? 'fixed-window' : strategy,
      amount,
      period,
    }),
  };
}

/** Returns the id of the limit that counts an item by a strategy. */
export function itemLimitId(item: string, strategy: StrategyName): string {
  return `${item}:${strategy}`;
}

function toPeriod(seconds: number): number {
  return Math.round(seconds * 1000);
}

function used({ limit, remaining }: Outcome): number {
  return limit.amount - remaining;
}
