import { calendarOf } from './calendars.js';
import type { Quota, Strategy } from './strategy.js';

export interface FixedWindowState {
  /** Units consumed in the window; at least 1. */
  count: number;
  /** Epoch ms at which the window ends; a hit at exactly the end opens the next. */
  end: number;
}

/**
 * Fixed window: counts hits in windows of `period` that open at the first counted hit.
 *
 * - State: count, end. A hit is allowed iff `count + cost ≤ amount`.
 * - Bound: never more than `amount` in one window, so at most 2 × `amount` in any span of `period` (across a boundary).
 * - `resetTime` is the window's end.
 * - A settlement goes to the window that counted the hit; a window with nothing left in it is dropped.
 *
 * Source: the fixed window of the Python library `limits`.
 */
export const fixedWindow: Strategy<FixedWindowState> = {
  remaining(state, { amount }, now) {
    return isOpen(state, now) ? Math.max(0, amount - state.count) : amount;
  },

  resetTime(state, quota, now) {
    return isOpen(state, now) ? Math.min(state.end, endAt(quota, now)) : now;
  },

  wait: (state, quota, _cost, now) => fixedWindow.resetTime(state, quota, now) - now,

  commit(state, quota, cost, now) {
    const end = endAt(quota, now);
    if (!isOpen(state, now)) return { count: cost, end };
    state.count += cost;
    state.end = Math.min(state.end, end);
    return state;
  },

  refuse(state, quota, now) {
    state.end = Math.min(state.end, endAt(quota, now));
  },

  window: (state) => state.end,

  settle(state, quota, { cost, actual, of }, now) {
    const open = isOpen(state, now) ? state : undefined;
    const window = of === 'current' ? open?.end : of.window;
    if (window !== undefined && window <= now) return { state, window };
    if (open !== undefined && window === open.end) return { state: recount(open, actual - cost), window };
    if (actual <= cost) return { state, window };
    const charged = recount(open ?? { count: 0, end: endAt(quota, now) }, actual - cost);
    return { state: charged, window: charged?.end };
  },

  expiresAt: (state) => state.end,
  encode: (state) => [state.count, state.end],
  decode: ([count = 0, end = 0]) => ({ count, end }),
};

/** Returns when a window that opens now ends. */
function endAt({ calendar, period }: Quota, now: number): number {
  return calendar === undefined ? now + period : calendarOf(calendar).windowAt(now).end;
}

/** Returns true while the window is open. */
export function isOpen<State extends FixedWindowState>(
  state: State | undefined,
  now: number,
): state is State {
  return state !== undefined && now < state.end;
}

/** Changes the count of a window; returns `undefined` if nothing is left in it. */
export function recount<State extends FixedWindowState>(state: State, change: number): State | undefined {
  state.count = Math.max(0, state.count + change);
  return state.count > 0 ? state : undefined;
}
