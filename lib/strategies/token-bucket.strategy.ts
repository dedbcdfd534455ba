import { divideDown, divideUp } from './arithmetic.js';
import type { Quota, Strategy } from './strategy.js';

export interface TokenBucketState {
  /** What has been consumed and not yet refilled, in unit·ms: one unit is `period`, and `amount` refills per ms. */
  level: number;
  /** Epoch ms at which the level was true. */
  at: number;
}

/**
 * Token bucket: holds up to `burst` tokens, starts full and refills `amount` tokens per `period`, evenly.
 *
 * - State: level, at. `level = max(0, level − (now − at) × amount)`; a hit is allowed iff
 *   `level + cost × period ≤ burst × period`, and then adds `cost × period`. Whole numbers only, so nothing drifts.
 * - Bound: never more than `burst + amount / period × T` in any span T.
 * - `resetTime` is when the next whole token is there.
 * - A raised amount keeps what was consumed; `burst` defaults to `amount`.
 * - A refund gives back what of the hit's own tokens has not been refilled since, first consumed first refilled, so it
 *   never leaves more tokens than if the hit had not been made.
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
    if (state === undefined) return { level: cost * period, at: now };
    state.level = levelAt(state, amount, now) + cost * period;
    state.at = now;
    return state;
  },

  refuse(state, _quota, now) {
    state.at = Math.min(state.at, now);
  },

  window: (state) => state.level,

  refund(state, quota, cost, now, consumption) {
    const { amount, period } = quota;
    const level = levelAt(state, amount, now);
    const unfilled = consumption === undefined ? level : consumption.window - (now - consumption.at) * amount;
    state.level = level - Math.min(level, cost * period, Math.max(0, unfilled));
    state.at = now;
    return state.level > 0 ? state : undefined;
  },

  expiresAt: (state, { amount }) => state.at + divideUp(state.level, Math.max(1, amount)),
  encode: (state) => [state.level, state.at],
  decode: ([level = 0, at = 0]) => ({ level, at }),
};

/** The level now: what has been refilled since is gone, and a time from the future counts as now. */
function levelAt(state: TokenBucketState, amount: Quota['amount'], now: number): number {
  return Math.max(0, state.level - Math.max(0, now - state.at) * amount);
}
