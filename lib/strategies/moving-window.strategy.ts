import { usageThatFreesOne, type Strategy } from './strategy.js';

/** The hits of a moving window, in a flat array, since one entry per object would take several times the memory. */
export interface MovingWindowState {
  /**
   * Two numbers per entry, the oldest entry first: its epoch ms, and the units consumed up to and including it. Hits of one ms are one
   * entry. After the last entry there may be room for more.
   */
  log: number[];
  /** Number of entries. */
  size: number;
  /** Index of the first entry that may still count. */
  first: number;
}

/** Entries that a new log has room for. */
const LEAST_ROOM = 3;
/** A log that is full is replaced by one of so many times the entries that count. */
const GROWTH = 1.5;

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
    if (state === undefined || first === state.size) return now;
    return timeOfUsage(state, first, usageThatFreesOne(usedSince(state, first), amount), period, now);
  },

  wait(state, { amount, period }, cost, now) {
    return timeOfUsage(state, firstAfter(state, now - period), amount - cost, period, now) - now;
  },

  commit(state, { period }, cost, now) {
    const first = state === undefined ? 0 : firstAfter(state, now - period);
    if (state === undefined || first === state.size) return append(emptyLog(), cost, now);
    state.first = first;
    pullBackFuture(state, now);
    return append(state, cost, now);
  },

  refuse: (state, _quota, now) => pullBackFuture(state, now),

  window: (state) => timeAt(state, state.size - 1),

  settle(state, { period }, { cost, actual, of }, now) {
    const log = state ?? emptyLog();
    pullBackFuture(log, now);
    log.first = firstAfter(log, now - period);
    if (of === 'current') takeNewest(log, cost - actual);
    else if (of.at > now - period) changeEntry(log, Math.min(of.at, now), actual - cost);
    return {
      state: usedSince(log, log.first) > 0 ? log : undefined,
      window: of === 'current' ? undefined : of.at,
    };
  },

  expiresAt: (state, { period }) => timeAt(state, state.size - 1) + period,

  encode(state) {
    const numbers: number[] = [];
    for (let index = state.first; index < state.size; index++) {
      numbers.push(timeAt(state, index), costAt(state, index));
    }
    return numbers;
  },

  decode(numbers) {
    const state = emptyLog(numbers.length / 2);
    for (let index = 0; index < numbers.length; index += 2)
      add(state, numbers[index] ?? 0, totalAt(state, state.size - 1) + (numbers[index + 1] ?? 0));
    return state;
  },
};

function emptyLog(room = LEAST_ROOM): MovingWindowState {
  return { log: new Array<number>(2 * room), size: 0, first: 0 };
}

/** Returns the time of an entry; 0 before the first one. */
function timeAt({ log }: MovingWindowState, index: number): number {
  return index < 0 ? 0 : (log[2 * index] as number);
}

/** Returns the units consumed up to and including an entry; none before the first one. */
function totalAt({ log }: MovingWindowState, index: number): number {
  return index < 0 ? 0 : (log[2 * index + 1] as number);
}

function setEntry({ log }: MovingWindowState, index: number, time: number, total: number): void {
  log[2 * index] = time;
  log[2 * index + 1] = total;
}

function costAt(state: MovingWindowState, index: number): number {
  return totalAt(state, index) - totalAt(state, index - 1);
}

function usedSince(state: MovingWindowState, first: number): number {
  return totalAt(state, state.size - 1) - totalAt(state, first - 1);
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
  const total = totalAt(state, state.size - 1);
  const last = lowestIndex(state, first, (index) => total - totalAt(state, index) <= target);
  return Math.min(timeAt(state, last), now) + period;
}

/** Returns the lowest index, from `low`, at which a monotone condition holds. Most often it holds at `low`; else searches by halves. */
function lowestIndex(state: MovingWindowState, low: number, holds: (index: number) => boolean): number {
  let high = state.size;
  if (low < high && holds(low)) return low;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (holds(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Merges entries from the future, left by a clock that went back, into one entry made now. */
function pullBackFuture(state: MovingWindowState, now: number): void {
  const last = state.size - 1;
  if (timeAt(state, last) <= now) return;
  const total = totalAt(state, last);
  const kept = lowestIndex(state, state.first, (index) => timeAt(state, index) >= now);
  setEntry(state, kept, now, total);
  state.size = kept + 1;
}

/** Adds a hit made now, to the newest entry if that is of the same ms. */
function append(state: MovingWindowState, cost: number, now: number): MovingWindowState {
  const last = state.size - 1;
  const total = totalAt(state, last) + cost;
  if (last >= 0 && timeAt(state, last) === now) setEntry(state, last, now, total);
  else add(state, now, total);
  return state;
}

/** Adds an entry at the end. */
function add(state: MovingWindowState, time: number, total: number): void {
  if (2 * state.size >= state.log.length) renewLog(state);
  setEntry(state, state.size, time, total);
  state.size++;
}

/**
 * Copies the entries that count to a log with room for more: constant work per hit on average. Keeps one entry before them, whose
 * total tells how much has left.
 */
function renewLog(state: MovingWindowState): void {
  const { log } = state;
  const start = Math.max(0, state.first - 1);
  const kept = state.size - start;
  const room = Math.max(LEAST_ROOM, Math.ceil(GROWTH * kept));
  state.log = new Array<number>(2 * room);
  for (let index = 0; index < 2 * kept; index++) state.log[index] = log[2 * start + index] as number;
  state.first -= start;
  state.size = kept;
}

/** Removes units from the newest entries that count. */
function takeNewest(state: MovingWindowState, cost: number): void {
  for (let index = state.size - 1; cost > 0 && index >= state.first; index--) {
    const taken = Math.min(cost, costAt(state, index));
    addTo(state, index, -taken);
    cost -= taken;
  }
}

/** Adds units to the entry at a time, or removes them; creates the entry if there is none. */
function changeEntry(state: MovingWindowState, time: number, change: number): void {
  const index = lowestIndex(state, state.first, (entry) => timeAt(state, entry) >= time);
  if (index < state.size && timeAt(state, index) === time) {
    addTo(state, index, Math.max(change, -costAt(state, index)));
  } else if (change > 0) {
    state.log.splice(2 * index, 0, time, totalAt(state, index - 1));
    state.size++;
    addTo(state, index, change);
  }
}

/** Changes the cost of an entry, and removes the entry if it is empty then. */
function addTo(state: MovingWindowState, index: number, change: number): void {
  for (let later = index; later < state.size; later++)
    state.log[2 * later + 1] = totalAt(state, later) + change;
  if (costAt(state, index) > 0) return;
  state.log.splice(2 * index, 2);
  state.size--;
}
