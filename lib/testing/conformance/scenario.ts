import { deepEqual, equal, match } from 'node:assert/strict';
import {
  receiptsOf,
  type BatchResult,
  type Hit,
  type Receipt,
  type Settlement,
} from '../../core/contract.js';
import { createLimit, type CreateLimitOptions, type Limit } from '../../core/limit.js';
import type { Storage } from '../../core/storage.js';
import type { StrategyName } from '../../strategies/strategy.js';
import type { ManualClock } from '../manual-clock.js';
import { CASE_START, type ConformanceContext } from './conformance-case.js';

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

/** The identity of hits in cases that do not name one. */
const DEFAULT_IDENTITY = 'conformance/user';

/** The outcome of one hit. Times are in ms from the hit, so that failures are readable. */
export interface Seen {
  readonly allowed: boolean;
  readonly remaining: number;
  readonly resetAfter: number;
  /** NaN if the time is not known. */
  readonly retryAfter: number;
}

/** One step of a history: a hit or a peek, its time in ms from the start, and its outcome. */
export interface Step extends Seen {
  readonly at: number;
  readonly does: 'hit' | 'look';
}

/** A storage, its clock, and shorthands for hits. */
export class Scenario {
  readonly storage: Storage;
  readonly clock: ManualClock;
  readonly #start: number;

  constructor(readonly context: ConformanceContext) {
    this.storage = context.storage;
    this.clock = context.clock;
    this.#start = context.clock.now();
  }

  /** Sets the clock to a number of ms after the start. */
  at(elapsed: number): void {
    this.clock.set(this.#start + elapsed);
  }

  /** Consumes a batch, and checks the invariants of every result. */
  async consume(batch: readonly Hit[]): Promise<BatchResult> {
    const result = await this.storage.consume(batch);
    assertAnswers(batch, result, this.clock.now());
    for (const { allowed, cost, taken, window } of result.outcomes) {
      equal(taken, result.allowed && allowed, 'a hit is taken iff it and its batch are allowed');
      equal(window !== undefined, taken && cost > 0, 'an outcome has a window iff units were taken');
    }
    return result;
  }

  /** Peeks at a batch, and checks the invariants of every result. */
  async peek(batch: readonly Hit[]): Promise<BatchResult> {
    const result = await this.storage.peek(batch);
    assertAnswers(batch, result, this.clock.now());
    for (const { taken, window } of result.outcomes)
      deepEqual({ taken, window }, { taken: false, window: undefined }, 'a peek takes nothing');
    return result;
  }

  /** Hits one limit. */
  async hit(limit: Limit, cost = 1, identity = DEFAULT_IDENTITY): Promise<Seen> {
    return onlyOne(seen(await this.consume([{ identity, limit, cost }])));
  }

  /** Peeks at one limit with a cost. */
  async look(limit: Limit, cost = 1, identity = DEFAULT_IDENTITY): Promise<Seen> {
    return onlyOne(seen(await this.peek([{ identity, limit, cost }])));
  }

  /** Returns the remaining units of a limit. */
  async left(limit: Limit, identity = DEFAULT_IDENTITY): Promise<number> {
    return (await this.look(limit, 0, identity)).remaining;
  }

  /** Returns the remaining units of each of several limits. */
  async leftOf(limits: readonly Limit[], identity = DEFAULT_IDENTITY): Promise<number[]> {
    return seen(await this.peek(hitsOn(limits, 0, identity))).map(({ remaining }) => remaining);
  }

  /** Takes a hit of each limit, and returns their receipts. */
  async take(limits: readonly Limit[], cost = 1, identity = DEFAULT_IDENTITY): Promise<Receipt[]> {
    const receipts = receiptsOf(await this.consume(hitsOn(limits, cost, identity)));
    equal(receipts.length, limits.length, 'every limit has a receipt');
    return receipts;
  }

  /**
   * Settles hits to an actual cost, checks the invariants of every result, and returns the new
   * receipts.
   */
  async settle(receipts: readonly Receipt[], actual: number): Promise<Receipt[]> {
    const result = await this.settleAll(receipts.map((receipt) => ({ ...receipt, actual })));
    return receipts.map(({ identity, limit, at }, index) => {
      const { window } = result.outcomes[index] ?? {};
      return { identity, limit, cost: actual, at, window };
    });
  }

  /** Settles hits, and checks the invariants of every result. */
  async settleAll(settlements: readonly Settlement[]): Promise<BatchResult> {
    const result = await this.storage.settle(settlements);
    equal(result.now, this.clock.now(), 'the result has the time of the clock');
    deepEqual(
      result.outcomes.map(nameOf),
      settlements.map((settlement) => nameOf({ ...settlement, cost: settlement.actual })),
    );
    for (const { allowed, retryAfter } of result.outcomes)
      deepEqual({ allowed, retryAfter }, { allowed: true, retryAfter: 0 }, 'a settled hit stays admitted');
    return result;
  }

  /** Returns units to the current window. */
  async refundCurrent(limit: Limit, cost: number, identity = DEFAULT_IDENTITY): Promise<void> {
    await this.settleAll([{ identity, limit, cost, window: 'current', actual: 0 }]);
  }

  async block(limit: Limit, duration: number, identity = DEFAULT_IDENTITY): Promise<void> {
    await this.storage.block([{ identity, limit, duration }]);
  }

  async remove(limits: readonly Limit[], identity = DEFAULT_IDENTITY): Promise<void> {
    await this.storage.remove(limits.map((limit) => ({ identity, limit })));
  }

  /** Plays a history and compares all outcomes. */
  async play(limit: Limit, history: readonly Step[]): Promise<void> {
    const played: Step[] = [];
    for (const { at, does } of history) {
      this.at(at);
      played.push({ at, does, ...(await (does === 'hit' ? this.hit(limit) : this.look(limit))) });
    }
    deepEqual(played, history);
  }
}

/** Returns a limit of 3 per minute, named after its strategy. A window of a calendar begins at the start of the case. */
export function limitOf(
  strategy: StrategyName,
  options: Partial<Omit<CreateLimitOptions, 'strategy'>> = {},
): Limit {
  const { period = MINUTE } = options;
  const calendar = strategy === 'calendar-window' ? calendarOfPeriod(period) : undefined;
  return createLimit({ id: strategy, amount: 3, period, calendar, ...options, strategy });
}

function calendarOfPeriod(period: number): CreateLimitOptions['calendar'] {
  const anchor = new Date(CASE_START).toISOString().slice(0, -1);
  return period % DAY === 0
    ? { unit: 'day', multiple: period / DAY, anchor }
    : { unit: 'millisecond', multiple: period, anchor };
}

/** Returns one hit of the same cost on each of several limits. */
export function hitsOn(limits: readonly Limit[], cost = 1, identity = DEFAULT_IDENTITY): Hit[] {
  return limits.map((limit) => ({ identity, limit, cost }));
}

/** Returns the outcomes of a batch. */
export function seen({ now, outcomes }: BatchResult): Seen[] {
  return outcomes.map(({ allowed, remaining, resetTime, retryAfter }) => ({
    allowed,
    remaining,
    resetAfter: resetTime - now,
    retryAfter: retryAfter ?? NaN,
  }));
}

/** Returns the outcome of an allowed hit. */
export function passes(remaining: number, resetAfter: number): Seen {
  return { allowed: true, remaining, resetAfter, retryAfter: 0 };
}

/** Returns the outcome of a refused hit. */
export function refused(remaining: number, resetAfter: number, retryAfter: number): Seen {
  return { allowed: false, remaining, resetAfter, retryAfter };
}

export function hit(at: number, meets: Seen): Step {
  return { at, does: 'hit', ...meets };
}

export function look(at: number, meets: Seen): Step {
  return { at, does: 'look', ...meets };
}

function assertAnswers(batch: readonly Hit[], result: BatchResult, now: number): void {
  equal(result.now, now, 'the result has the time of the clock');
  deepEqual(result.outcomes.map(nameOf), batch.map(nameOf));
  const vetoes = result.outcomes.filter(({ allowed, limit }) => !allowed && limit.mode === 'enforce');
  equal(result.allowed, vetoes.length === 0, 'a batch is allowed iff every enforced limit allows');
}

function nameOf({ identity, limit, cost }: Hit): unknown {
  return { identity, limit: limit.id, cost };
}

/** Returns the single value of a list, and asserts that there is exactly one. */
export function onlyOne<T>(values: readonly T[]): T {
  const [value] = values;
  equal(values.length, 1);
  return value as T;
}

/** Removes limits for all identities. Returns false if the storage rejects because it lists no keys. */
export async function removesLimits(storage: Storage, limits: readonly Limit[]): Promise<boolean> {
  try {
    await storage.removeLimits(limits);
    return true;
  } catch (error) {
    match((error as Error).message, /lists no keys/);
    return false;
  }
}
