import { divideDown, divideUp, type Strategy } from './strategy.js';

export interface TokenBucketState {
  /** Consumed and not yet refilled, in unit·ms: one unit is `period`, and `amount` refills per ms. */
  level: number;
  /** Epoch ms of the level. */
  at: number;
  /** The amount of the limit that took the newest hit: limits of several amounts may share a bucket. */
  amount: number;
}

/**
 * Token bucket: holds up to `burst` tokens, starts full and refills `amount` tokens per `period`, evenly.
 *
 * - State: level, at, amount. `level = max(0, level − (now − at) × amount)`; a hit is allowed iff
 *   `level + cost × period ≤ burst × period`, and then adds `cost × period`. Whole numbers only, so nothing drifts.
 * - Bound: never more than `burst + amount / period × T` in any span T.
 * - `resetTime` is when the next whole token arrives.
 * - Limits of several amounts that share a bucket refill it, between two hits, at the smaller of the amounts of both. A raised
 *   amount keeps what was consumed. `burst` defaults to `amount`.
 * - A settlement to less returns the hit's tokens that cannot have been refilled since; one to more takes tokens now, and may
 *   leave a debt.
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
    if (state === undefined || level === 0 || burst === 0) return now;
    const used = burst - tokenBucket.remaining(state, quota, now);
    return now + divideUp(level - (used - 1) * period, Math.min(state.amount, amount));
  },

  wait(state, { amount, period, burst }, cost, now) {
    return divideUp(levelAt(state, amount, now) + (cost - burst) * period, Math.min(state.amount, amount));
  },

  commit(state, { amount, period }, cost, now) {
    const level = state === undefined ? 0 : levelAt(state, amount, now);
    if (state === undefined || level === 0) return { level: cost * period, at: now, amount };
    state.level = level + cost * period;
    state.at = now;
    state.amount = amount;
    return state;
  },

  refuse(state, _quota, now) {
    state.at = Math.min(state.at, now);
  },

  window: (state) => state.at,

  settle(state, { amount, period }, { cost, actual, of }, now) {
    const level = state === undefined ? 0 : levelAt(state, amount, now);
    const before = state === undefined || level === 0 ? amount : state.amount; // a full bucket has forgotten it
    const refilled = of === 'current' ? 0 : Math.max(0, now - of.at) * Math.max(amount, before);
    const change =
      actual > cost ? (actual - cost) * period : Math.min(0, refilled - (cost - actual) * period);
    const settled = Math.min(Math.max(0, level + change), Number.MAX_SAFE_INTEGER);
    const window = of === 'current' ? undefined : of.window;
    if (settled === 0) return { state: undefined, window };
    const bucket = { level: settled, at: now, amount: Math.max(1, Math.min(amount, before)) };
    // In place, since identities may share a state that still counts.
    return { state: state === undefined || level === 0 ? bucket : Object.assign(state, bucket), window };
  },

  expiresAt: (state, { amount }) =>
    state.at + divideUp(state.level, Math.max(1, Math.min(state.amount, amount))),
  encode: (state) => [state.level, state.at, state.amount],
  decode: ([level = 0, at = 0, amount = 0]) => ({ level, at, amount }),
};

/** Returns the level now: the stored level less the refill since; a time from the future counts as now. */
function levelAt(state: TokenBucketState, amount: number, now: number): number {
  return Math.max(0, state.level - Math.max(0, now - state.at) * Math.min(state.amount, amount));
}
