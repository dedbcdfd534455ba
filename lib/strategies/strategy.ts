/** The names of the strategies, as used in options and on every storage. */
export type StrategyName =
  | 'fixed-window'
  | 'fixed-window-elastic-expiry'
  | 'moving-window'
  | 'sliding-window-counter'
  | 'token-bucket';

/** The numbers a strategy enforces: an amount per period. */
export interface Quota {
  /** Units allowed per period; a whole number, 0 refuses everything. */
  readonly amount: number;
  /** Length of the window in whole milliseconds. */
  readonly period: number;
  /** Capacity of a token bucket in units; equals `amount` for every other strategy. */
  readonly burst: number;
}

/** Identifies one consumption, so that a refund can find it. */
export interface Consumption {
  /** Epoch ms at which it was taken. */
  readonly at: number;
  /** The window it was counted in, as {@link Strategy.window} returned it right after. */
  readonly window: number;
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

  /** Returns the fewest whole ms after which a cost above `remaining`, but within the capacity, is allowed without further hits. */
  wait(state: State, quota: Quota, cost: number, now: number): number;

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
   * Refunds one consumption if it still counts; without a consumption, refunds the current window. May change `state` in
   * place; returns `undefined` when nothing is consumed any more.
   */
  refund(state: State, quota: Quota, cost: number, now: number, consumption?: Consumption): State | undefined;

  /** Returns the epoch ms from which the state means that nothing is consumed. */
  expiresAt(state: State, quota: Quota): number;

  /** Returns the state as whole numbers, for storages that keep text. */
  encode(state: State): number[];

  /** Inverts {@link encode}. */
  decode(numbers: readonly number[]): State;
}
