/** The names of the strategies, as used in options and on every storage. */
export type StrategyName =
  | 'fixed-window'
  | 'fixed-window-elastic-expiry'
  | 'moving-window'
  | 'sliding-window-counter'
  | 'token-bucket';

/** What a strategy has to keep: so much per so long. */
export interface Quota {
  /** Units allowed per period; a whole number, 0 refuses everything. */
  readonly amount: number;
  /** Length of the window in whole milliseconds. */
  readonly period: number;
  /** Capacity of a token bucket in units; equals `amount` for every other strategy. */
  readonly burst: number;
}

/** Which consumption a refund takes back. */
export interface Consumption {
  /** Epoch ms at which it was made. */
  readonly at: number;
  /** Names the window it was counted in, as {@link Strategy.window} told right after. */
  readonly window: number;
}

/**
 * One way to limit, as pure steps over a state: no I/O, no clock. This is the specification that every storage follows.
 *
 * Times are whole epoch milliseconds. No state means that nothing is consumed; so does a state that has expired. A state
 * from the future, left by a clock that went back, counts as made now: nobody is locked out for longer than one window.
 */
export interface Strategy<State> {
  /** Whole units that could be consumed now; never negative. A hit is allowed iff its cost is not above it. */
  remaining(state: State | undefined, quota: Quota, now: number): number;

  /** Epoch ms at which `remaining` grows next if nobody hits meanwhile; now, if nothing is consumed. */
  resetTime(state: State | undefined, quota: Quota, now: number): number;

  /** Whole ms until a cost above `remaining` and within the capacity would be allowed, if nobody hits meanwhile; not one too many. */
  wait(state: State, quota: Quota, cost: number, now: number): number;

  /**
   * Takes an allowed cost above 0 and returns the new state. Owns `state`, and may change it in place; but one that means the
   * same as none is replaced by a new one, since its store may have dropped it.
   */
  commit(state: State | undefined, quota: Quota, cost: number, now: number): State;

  /**
   * Changes in place what a hit changes although nothing is taken: an elastic end moves, and a state from the future, left
   * by a clock that went back, becomes one of now, so that the time it takes to recover begins to pass.
   */
  refuse(state: State, quota: Quota, now: number): void;

  /** Names the window that the newest consumption was counted in, for its receipt. */
  window(state: State): number;

  /**
   * Gives back what one consumption took, if it still counts; without a consumption, gives back to the current window.
   * Owns `state`; returns `undefined` when nothing is consumed any more.
   */
  refund(state: State, quota: Quota, cost: number, now: number, consumption?: Consumption): State | undefined;

  /** Epoch ms from which the state means the same as none. */
  expiresAt(state: State, quota: Quota): number;

  /** The state as whole numbers, for storages that keep text. */
  encode(state: State): number[];

  /** The inverse of {@link encode}. */
  decode(numbers: readonly number[]): State;
}
