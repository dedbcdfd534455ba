import type { CalendarRule } from './calendar.js';

/** The names of the strategies, as used in options and on every storage. */
export type StrategyName =
  | 'fixed-window'
  | 'fixed-window-elastic-expiry'
  | 'calendar-window'
  | 'moving-window'
  | 'sliding-window-counter'
  | 'token-bucket'
  | 'concurrency';

/** The names of the strategies whose units come back with time. */
export type RateStrategyName = Exclude<StrategyName, 'concurrency'>;

/** The numbers a strategy enforces: an amount per period. */
export interface Quota {
  /** Units allowed per period; a whole number, 0 refuses everything. */
  readonly amount: number;
  /**
   * Length of the window in whole milliseconds; of a calendar window the nominal one: a month has 30 days; of slots the time after
   * which one that is not renewed is free.
   */
  readonly period: number;
  /** Capacity of a token bucket in units; equals `amount` for every other strategy. */
  readonly burst: number;
  /** The calendar whose windows are counted; absent for every strategy but `'calendar-window'`. */
  readonly calendar?: CalendarRule | undefined;
}

/** Identifies one consumption, so that a settlement can find it. */
export interface Consumption {
  /** Epoch ms at which it was taken. */
  readonly at: number;
  /** The window that counts it, as {@link Strategy.window} returned it right after; `undefined` if it reserved nothing. */
  readonly window: number | undefined;
}

/** A change of what one hit counts, once its actual cost is known. */
export interface CostChange {
  /** Units that the hit counts now. */
  readonly cost: number;
  /** Units that it is to count. */
  readonly actual: number;
  /** The hit; or the current window, from which units are returned without a receipt. */
  readonly of: Consumption | 'current';
}

/** A settled state, and the window that counts the hit afterwards. */
export interface Settled<State> {
  /** `undefined` if nothing is consumed any more. */
  readonly state: State | undefined;
  readonly window: number | undefined;
}

/**
 * A rate-limiting algorithm as pure steps over a state: no I/O, no clock. Every storage follows this specification.
 *
 * Times are whole epoch milliseconds. `undefined` and an expired state both mean that nothing is consumed. A state from the
 * future, left by a clock that went back, counts as made now, so that no lockout outlasts one window.
 */
export interface Strategy<State> {
  /** Returns the whole units that could be consumed now; never negative. A hit is allowed iff its cost does not exceed it. */
  remaining(state: State | undefined, quota: Quota, now: number): number;

  /** Returns the epoch ms at which `remaining` next grows without further hits; now, if nothing is consumed. */
  resetTime(state: State | undefined, quota: Quota, now: number): number;

  /**
   * Returns the fewest whole ms after which a cost above `remaining`, but within the capacity, is allowed without further hits;
   * `undefined` if that is not known.
   */
  wait(state: State, quota: Quota, cost: number, now: number): number | undefined;

  /**
   * Takes an allowed cost above 0 and returns the new state. May change `state` in place, unless it has expired: then it
   * returns a new one, since the storage may have dropped the old.
   */
  commit(state: State | undefined, quota: Quota, cost: number, now: number): State;

  /**
   * Records a hit that takes nothing, in place: moves an elastic end, and turns a state from the future into one of now, so
   * that its time to recover starts to pass.
   */
  refuse(state: State, quota: Quota, now: number): void;

  /** Returns the window that counted the newest consumption, for its receipt. */
  window(state: State): number;

  /**
   * Makes a hit count its actual cost, in the window that counted it. A window that has ended is not changed. A higher cost
   * whose window holds nothing any more is charged to the window open now. May change `state` in place.
   */
  settle(state: State | undefined, quota: Quota, change: CostChange, now: number): Settled<State>;

  /** Returns the epoch ms from which the state means that nothing is consumed. */
  expiresAt(state: State, quota: Quota): number;

  /** Returns the state as whole numbers, for storages that keep text. */
  encode(state: State): number[];

  /** Inverts {@link encode}. */
  decode(numbers: readonly number[]): State;
}

/** The verdict of a strategy on one hit. */
export interface Evaluation {
  /** True if a hit of the requested cost is allowed. */
  readonly allowed: boolean;
  /** Whole units that could be consumed now; never negative. */
  readonly remaining: number;
  /** Epoch ms at which `remaining` next grows without further hits; now, if nothing is consumed. */
  readonly resetTime: number;
  /**
   * Whole ms after which a hit of this cost is allowed: 0 if it is now, `Infinity` if the cost exceeds the capacity, `undefined` if the
   * time is not known, since the slots of concurrent requests are taken.
   */
  readonly retryAfter: number | undefined;
}

/**
 * Returns the whole ms after which a hit of this cost is allowed: 0 if it is now, `Infinity` if the cost exceeds the capacity, `undefined`
 * if the time is not known.
 */
export function retryAfter<State>(
  strategy: Strategy<State>,
  state: State | undefined,
  quota: Quota,
  cost: number,
  remaining: number,
  now: number,
): number | undefined {
  if (cost <= remaining) return 0;
  return cost > quota.burst || state === undefined ? Infinity : strategy.wait(state, quota, cost, now);
}

/** Divides and rounds up; exact for whole numbers up to 2^53, where a floating-point quotient would round first. */
export function divideUp(a: number, b: number): number {
  const rest = a % b;
  return (a - rest) / b + (rest > 0 ? 1 : 0);
}

/** Divides and rounds down; exact for whole numbers from 0 to 2^53. */
export function divideDown(a: number, b: number): number {
  return (a - (a % b)) / b;
}

/** Returns the highest usage at which `remaining` exceeds its present value. */
export function usageThatFreesOne(used: number, amount: number): number {
  return Math.max(0, Math.min(used, amount) - 1);
}
