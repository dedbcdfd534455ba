import { divideDown, divideUp } from './arithmetic.js';
import type { Consumption, Quota, Strategy } from './strategy.js';

export interface TokenBucketState {
  /** Consumed and not yet refilled, in unit·ms: one unit is `period`, and `amount` refills per ms. */
  level: number;
  /** Epoch ms of the level. */
  at: number;
  /** Epoch ms since which the bucket has not been full. */
  since: number;
  /** Units consumed since then; a receipt records a hit's position among them. */
  consumed: number;
}

/**
 * Token bucket: holds up to `burst` tokens, starts full and refills `amount` tokens per `period`, evenly.
 *
 * - State: level, at, since, consumed. `level = max(0, level − (now − at) × amount)`; a hit is allowed iff
 *   `level + cost × period ≤ burst × period`, and then adds `cost × period`. Whole numbers only, so nothing drifts.
 * - Bound: never more than `burst + amount / period × T` in any span T.
 * - `resetTime` is when the next whole token arrives.
 * - A raised amount keeps what was consumed; `burst` defaults to `amount`.
 * - A refund returns the hit's tokens that have not been refilled since, first consumed first refilled, so it never leaves
 *   more tokens than if the hit had not been made. For several refunds this holds from the oldest hit or from the newest;
 *   in another order, tokens refilled between the hits may be returned as well.
 *
 * Source: the token bucket of Limify; the level counts down as in a leaky bucket used as a meter (ITU-T I.371).
 */
export const tokenBucket: Strategy<TokenBucketState> = {
  remaining(state, { amount, period, burst }, now) {
    return state === undefined
      ? burst
      : divideDown(Math.max(0, burst * period - levelAt(state, amount, now)), period);
  },

  resetTime(state, quota, now) {
    const { amount, period, burst } = quota;
    const level = state === undefined ? 0 : levelAt(state, amount, now);
    if (level === 0 || burst === 0) return now;
    const used = burst - tokenBucket.remaining(state, quota, now);
    return now + divideUp(level - (used - 1) * period, amount);
  },

  wait(state, { amount, period, burst }, cost, now) {
    return divideUp(levelAt(state, amount, now) + (cost - burst) * period, amount);
  },

  commit(state, { amount, period }, cost, now) {
    const level = state === undefined ? 0 : levelAt(state, amount, now);
    if (state === undefined || level === 0)
      return { level: cost * period, at: now, since: now, consumed: cost };
    state.since = Math.min(state.since, now);
    state.consumed += cost;
    state.level = level + cost * period;
    state.at = now;
    return state;
  },

  refuse(state, _quota, now) {
    state.at = Math.min(state.at, now);
    state.since = Math.min(state.since, now);
  },

  window: (state) => state.consumed,

  refund(state, { amount, period }, cost, now, consumption) {
    const level = levelAt(state, amount, now);
    const left = consumption === undefined ? level : leftSince(state, level, period, consumption);
    // More than the hit's cost is left: hits before it refill first, and those after it move up by its cost.
    if (consumption !== undefined && left > cost * period) state.consumed -= cost;
    state.level = level - Math.max(0, Math.min(level, cost * period, left));
    state.at = now;
    state.since = Math.min(state.since, now);
    return state.level > 0 ? state : undefined;
  },

  expiresAt: (state, { amount }) => state.at + divideUp(state.level, Math.max(1, amount)),
  encode: (state) => [state.level, state.at, state.since, state.consumed],
  decode: ([level = 0, at = 0, since = 0, consumed = 0]) => ({ level, at, since, consumed }),
};

/** Returns the part of the level that a hit and those before it took, in unit·ms; 0 or less once it is all refilled. */
function leftSince(
  state: TokenBucketState,
  level: number,
  period: number,
  { at, window }: Consumption,
): number {
  return at < state.since ? 0 : level - (state.consumed - window) * period;
}

/** Returns the level now: the stored level less the refill since; a time from the future counts as now. */
function levelAt(state: TokenBucketState, amount: Quota['amount'], now: number): number {
  return Math.max(0, state.level - Math.max(0, now - state.at) * amount);
}
