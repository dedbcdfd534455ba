import { usageThatFreesOne, type Settled, type Strategy } from './strategy.js';

export interface SlidingWindowState {
  /** Units consumed in the window before the current one. */
  previous: number;
  /** Units consumed in the current window. */
  current: number;
  /** Epoch ms at which the current window began. */
  start: number;
}

/**
 * Sliding window counter: two counters approximate a moving window; the previous window weighs less the longer the current
 * one lasts.
 *
 * - State: previous, current, start of current. Windows are aligned to the first hit after idleness.
 * - `used = floor(previous × (period − elapsed) / period) + current`; a hit is allowed iff `used + cost ≤ amount`.
 * - Bound: never more than `amount` in one window; in any span of `period` at most 2 × `amount`: a whole amount
 *   at the very end of one window, and another in the next as the weight of the first falls.
 * - `resetTime` is when the next whole unit frees: first as the previous window loses weight, then as the current one does.
 * - A settlement goes to the window that counted the hit, the current or the previous one.
 *
 * Source: the sliding window counter of the Python library `limits`, aligned to the first hit instead of the clock.
 */
export const slidingWindowCounter: Strategy<SlidingWindowState> = {
  remaining(state, { amount, period }, now) {
    const view = roll(state, period, now);
    return view === undefined ? amount : Math.max(0, amount - usedAt(view, period, now));
  },

  resetTime(state, { amount, period }, now) {
    const view = roll(state, period, now);
    if (view === undefined) return now;
    return timeOfUsage(view, period, now, usageThatFreesOne(usedAt(view, period, now), amount));
  },

  wait(state, { amount, period }, cost, now) {
    const view = roll(state, period, now);
    return view === undefined ? 0 : timeOfUsage(view, period, now, amount - cost) - now;
  },

  commit(state, { period }, cost, now) {
    const view = roll(state, period, now);
    if (view === undefined) return { previous: 0, current: cost, start: now };
    view.current += cost;
    return view;
  },

  refuse(state, _quota, now) {
    state.start = Math.min(state.start, now);
  },

  window: (state) => state.start,

  settle(state, { period }, { cost, actual, of }, now) {
    const view = roll(state, period, now);
    const window = of === 'current' ? view?.start : of.window;
    if (window !== undefined && window + 2 * period <= now) return { state: view, window };
    if (view !== undefined && window === view.start) view.current = Math.max(0, view.current + actual - cost);
    else if (view !== undefined && window === view.start - period)
      view.previous = Math.max(0, view.previous + actual - cost);
    else if (actual > cost) return chargeNow(view, actual - cost, now);
    return { state: view !== undefined && view.previous + view.current > 0 ? view : undefined, window };
  },

  expiresAt: (state, { period }) => state.start + (state.current > 0 ? 2 * period : period),
  encode: (state) => [state.previous, state.current, state.start],
  decode: ([previous = 0, current = 0, start = 0]) => ({ previous, current, start }),
};

/** Returns the state with its windows advanced to now (a copy if that changes it); a window from the future starts now. */
function roll(
  state: SlidingWindowState | undefined,
  period: number,
  now: number,
): SlidingWindowState | undefined {
  if (state === undefined) return undefined;
  const elapsed = now - state.start;
  if (elapsed < 0) return { previous: state.previous, current: state.current, start: now };
  if (elapsed < period) return state;
  if (elapsed < 2 * period && state.current > 0)
    return { previous: state.current, current: 0, start: state.start + period };
  return undefined;
}

function weigh(count: number, left: number, period: number): number {
  return Math.floor((count * left) / period);
}

function usedAt(view: SlidingWindowState, period: number, now: number): number {
  return weigh(view.previous, period - (now - view.start), period) + view.current;
}

/** Returns the first ms, now or later, at which at most `target` units are used without further hits. */
function timeOfUsage(view: SlidingWindowState, period: number, now: number, target: number): number {
  return target >= view.current
    ? Math.max(now, view.start + elapsedUntil(view.previous, target - view.current, period))
    : Math.max(now, view.start + period + elapsedUntil(view.current, target, period));
}

/** Returns the first elapsed ms of a window at which the previous window's count weighs at most `target`. */
function elapsedUntil(count: number, target: number, period: number): number {
  if (count <= target) return 0;
  // weigh(count, left) ≤ target ⇔ count × left < (target + 1) × period; rounding may miss by one, so the formula itself decides.
  let elapsed = Math.max(0, Math.floor(period - ((target + 1) * period) / count) - 1);
  while (weigh(count, period - elapsed, period) > target) elapsed++;
  return elapsed;
}

function chargeNow(
  view: SlidingWindowState | undefined,
  cost: number,
  now: number,
): Settled<SlidingWindowState> {
  const state = view ?? { previous: 0, current: 0, start: now };
  state.current += cost;
  return { state, window: state.start };
}
