import { fixedWindow, isOpen, recount, type FixedWindowState } from './fixed-window.strategy.js';
import type { Strategy } from './strategy.js';

export interface ElasticWindowState extends FixedWindowState {
  /** Epoch ms at which the window opened. Identifies the window, since its end moves. */
  start: number;
}

/**
 * Fixed window with elastic expiry: every hit, allowed or refused, extends the window to a full period from now; the count is
 * kept until a whole period passes without a hit.
 *
 * - State: count, start, end. A hit is allowed iff `count + cost ≤ amount`.
 * - Bound: never more than `amount` in any span of `period`.
 * - `resetTime` is the window's end.
 * - A refusal changes only the end; a cost of 0 changes nothing. A settlement does not move the end, unless it charges a hit
 *   that reserved nothing: the end is then a full period after that hit.
 *
 * Source: the fixed window with elastic expiry of the Python library `limits`.
 */
export const fixedWindowElasticExpiry: Strategy<ElasticWindowState> = {
  remaining: fixedWindow.remaining,
  resetTime: fixedWindow.resetTime,
  wait: fixedWindow.wait,

  commit(state, { period }, cost, now) {
    if (!isOpen(state, now)) return { count: cost, start: now, end: now + period };
    state.count += cost;
    state.end = now + period;
    return state;
  },

  refuse(state, { period }, now) {
    if (isOpen(state, now)) state.end = now + period;
  },

  window: (state) => state.start,

  settle(state, { period }, { cost, actual, of }, now) {
    const open = isOpen(state, now) ? state : undefined;
    const window = of === 'current' ? open?.start : of.window;
    const extended = of === 'current' ? 0 : Math.min(of.at, now) + period;
    if (open !== undefined && actual > cost) open.end = Math.max(open.end, extended);
    if (open !== undefined && window === open.start) return { state: recount(open, actual - cost), window };
    // A window that later hits have extended, and that holds nothing any more, cannot be told from one that has ended.
    const hasEnded = of !== 'current' && window !== undefined && of.at + period <= now;
    if (hasEnded || actual <= cost) return { state, window };
    const charged = recount(open ?? { count: 0, start: now, end: now + period }, actual - cost);
    return { state: charged, window: charged?.start };
  },

  expiresAt: (state) => state.end,
  encode: (state) => [state.count, state.start, state.end],
  decode: ([count = 0, start = 0, end = 0]) => ({ count, start, end }),
};
