import { usageThatFreesOne, type Strategy } from './strategy.js';

/** The hits of a moving window, oldest first; hits of one ms are one entry. Entries before `first` have left. */
export interface MovingWindowState {
  /** Epoch ms of each entry, ascending. */
  times: number[];
  /** Units consumed up to and including each entry, those of entries cut off before included. */
  totals: number[];
  /** Units of the entries that have been cut off. */
  cut: number;
  /** Index of the first entry that may still count. */
  first: number;
}

/** Entries that have left are cut off once there are this many and they are half of the log: constant work per hit on average. */
const WORTH_CUTTING = 32;

/**
 * Moving window: remembers each hit; the entries in (now − period, now] count.
 *
 * - State: a log of (time, cost). A hit is allowed iff the counted costs + `cost ≤ amount`.
 * - Bound: never more than `amount` in any span of `period`.
 * - `resetTime` is when the oldest counted entry leaves.
 * - Work per hit: O(log n) over running totals; an entry of cost n is one entry.
 * - A settlement changes the entry at the hit's time, removes it or adds it again.
 *
 * Source: the moving window of the Python library `limits`.
 */
export const movingWindow: Strategy<MovingWindowState> = {
  remaining(state, { amount, period }, now) {
    return state === undefined
      ? amount
      : Math.max(0, amount - usedSince(state, firstAfter(state, now - period)));
  },

  resetTime(state, { amount, period }, now) {
    const first = state === undefined ? 0 : firstAfter(state, now - period);
    if (state === undefined || first === state.times.length) return now;
    return timeOfUsage(state, first, usageThatFreesOne(usedSince(state, first), amount), period, now);
  },

  wait(state, { amount, period }, cost, now) {
    return timeOfUsage(state, firstAfter(state, now - period), amount - cost, period, now) - now;
  },

  commit(state, { period }, cost, now) {
    const first = state === undefined ? 0 : firstAfter(state, now - period);
    if (state === undefined || first === state.times.length)
      return { times: [now], totals: [cost], cut: 0, first: 0 };
    state.first = first;
    if (first >= WORTH_CUTTING && first * 2 >= state.times.length) cutOff(state);
    pullBackFuture(state, now);
    append(state, cost, now);
    return state;
  },

  refuse: (state, _quota, now) => pullBackFuture(state, now),

  window: (state) => timeAt(state, state.times.length - 1),

  settle(state, { period }, { cost, actual, of }, now) {
    const log = state ?? { times: [], totals: [], cut: 0, first: 0 };
    pullBackFuture(log, now);
    log.first = firstAfter(log, now - period);
    if (of === 'current') takeNewest(log, cost - actual);
    else if (of.at > now - period) changeEntry(log, Math.min(of.at, now), actual - cost);
    return {
      state: usedSince(log, log.first) > 0 ? log : undefined,
      window: of === 'current' ? undefined : of.at,
    };
  },

  expiresAt: (state, { period }) => timeAt(state, state.times.length - 1) + period,

  encode(state) {
    const numbers: number[] = [];
    for (let index = state.first; index < state.times.length; index++) {
      numbers.push(timeAt(state, index), costAt(state, index));
    }
    return numbers;
  },

  decode(numbers) {
    const state: MovingWindowState = { times: [], totals: [], cut: 0, first: 0 };
    let total = 0;
    for (let index = 0; index < numbers.length; index += 2) {
      total += numbers[index + 1] ?? 0;
      state.times.push(numbers[index] ?? 0);
      state.totals.push(total);
    }
    return state;
  },
};

function timeAt(state: MovingWindowState, index: number): number {
  return state.times[index] ?? 0;
}

/** Returns the units consumed up to and including an entry. */
function totalAt(state: MovingWindowState, index: number): number {
  return state.totals[index] ?? state.cut;
}

function costAt(state: MovingWindowState, index: number): number {
  return totalAt(state, index) - totalAt(state, index - 1);
}

function usedSince(state: MovingWindowState, first: number): number {
  return totalAt(state, state.totals.length - 1) - totalAt(state, first - 1);
}

/** Returns the index of the first entry after a time. */
function firstAfter(state: MovingWindowState, time: number): number {
  return lowestIndex(state, state.first, (index) => timeAt(state, index) > time);
}

/** Returns the first ms at which at most `target` units count: when enough entries have left the window. */
function timeOfUsage(
  state: MovingWindowState,
  first: number,
  target: number,
  period: number,
  now: number,
): number {
  const total = totalAt(state, state.totals.length - 1);
  const last = lowestIndex(state, first, (index) => total - totalAt(state, index) <= target);
  return Math.min(timeAt(state, last), now) + period;
}

/** Binary search for the lowest index, from `low`, at which a monotone condition holds. */
function lowestIndex(state: MovingWindowState, low: number, holds: (index: number) => boolean): number {
  let high = state.times.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (holds(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

function cutOff(state: MovingWindowState): void {
  state.cut = totalAt(state, state.first - 1);
  state.times = state.times.slice(state.first);
  state.totals = state.totals.slice(state.first);
  state.first = 0;
}

/** Merges entries from the future, left by a clock that went back, into one entry made now. */
function pullBackFuture(state: MovingWindowState, now: number): void {
  const last = state.times.length - 1;
  if (timeAt(state, last) <= now) return;
  const total = totalAt(state, last);
  const kept = lowestIndex(state, state.first, (index) => timeAt(state, index) >= now);
  state.times.splice(kept, Infinity, now);
  state.totals.splice(kept, Infinity, total);
}

function append(state: MovingWindowState, cost: number, now: number): void {
  const last = state.times.length - 1;
  const total = totalAt(state, last) + cost;
  if (timeAt(state, last) === now) {
    state.totals[last] = total;
  } else {
    state.times.push(now);
    state.totals.push(total);
  }
}

/** Removes units from the newest entries that count. */
function takeNewest(state: MovingWindowState, cost: number): void {
  for (let index = state.times.length - 1; cost > 0 && index >= state.first; index--) {
    const taken = Math.min(cost, costAt(state, index));
    addTo(state, index, -taken);
    cost -= taken;
  }
}

/** Adds units to the entry at a time, or removes them; creates the entry if there is none. */
function changeEntry(state: MovingWindowState, time: number, change: number): void {
  const index = lowestIndex(state, state.first, (entry) => timeAt(state, entry) >= time);
  if (timeAt(state, index) === time) {
    addTo(state, index, Math.max(change, -costAt(state, index)));
  } else if (change > 0) {
    state.times.splice(index, 0, time);
    state.totals.splice(index, 0, totalAt(state, index - 1));
    addTo(state, index, change);
  }
}

/** Changes the cost of an entry, and removes the entry if it is empty then. */
function addTo(state: MovingWindowState, index: number, change: number): void {
  for (let later = index; later < state.totals.length; later++)
    state.totals[later] = totalAt(state, later) + change;
  if (costAt(state, index) > 0) return;
  state.times.splice(index, 1);
  state.totals.splice(index, 1);
}
