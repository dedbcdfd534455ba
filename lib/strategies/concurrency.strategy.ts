import type { Strategy } from './strategy.js';

/** A slot, or several that one hit has taken. */
export interface LogEntry {
  /** Epoch ms at which it is free again without a renewal. */
  end: number;
  /** Slots that the hit holds. */
  cost: number;
}

/** The log of the slots that are taken. */
export interface ConcurrencyState {
  /** Epoch ms of the newest change. */
  at: number;
  /** The id of the newest slot. */
  newest: number;
  /** By id: the epoch ms at which a slot was taken, or the next free one. */
  slots: Map<number, LogEntry>;
  /** The cost of all slots in the log. */
  used: number;
  /** No slot in the log ends before this time. */
  soonest: number;
}

/**
 * Concurrency: slots that are held until they are released. A slot that is neither released nor renewed is free after a period.
 *
 * - State: a log of slots with their ends. A hit is allowed if the slots in the log that have not ended + `cost ≤ amount`.
 * - Release: a settlement to 0. Renewal: a settlement to the same cost, which extends the end to a period from now; it also takes a slot back
 *   that has ended, above the amount if need be.
 * - `resetTime` is now and the wait is unknown: no one knows when work ends.
 * - Work per hit: constant, except for one that looks for ended slots. That happens at most once until the next slot ends.
 * - After the clock went back, slots keep the time that they had left at the newest change.
 */
export const concurrency: Strategy<ConcurrencyState> = {
  remaining: (state, { amount }, now) => Math.max(0, amount - (state === undefined ? 0 : held(state, now))),

  resetTime: (_state, _quota, now) => now,

  wait: () => undefined,

  commit(state, { period }, cost, now) {
    const log = openLog(state, now);
    put(log, nextId(log), { end: now + period, cost });
    return log;
  },

  refuse(state, _quota, now) {
    if (state.at > now) bringTo(state, now);
  },

  window: (state) => state.newest,

  settle(state, { period }, { actual, of }, now) {
    if (of === 'current') return { state, window: undefined }; // only its holder can release a slot
    const log = openLog(state, now);
    const id = of.window ?? (actual > 0 ? nextId(log) : undefined);
    if (id !== undefined) take(log, id);
    if (id !== undefined && actual > 0) put(log, id, { end: now + period, cost: actual });
    return { state: log.used > 0 ? log : undefined, window: id };
  },

  expiresAt(state) {
    let latest = 0;
    for (const { end } of state.slots.values()) latest = Math.max(latest, end);
    return latest;
  },

  encode: (state) => [
    state.at,
    state.newest,
    ...[...state.slots].flatMap(([id, { end, cost }]) => [id, end, cost]),
  ],

  decode([at = 0, newest = 0, ...numbers]) {
    const state = { ...emptyLog(at), newest };
    for (let index = 0; index < numbers.length; index += 3)
      put(state, numbers[index] ?? 0, { end: numbers[index + 1] ?? 0, cost: numbers[index + 2] ?? 0 });
    return state;
  },
};

function emptyLog(at: number): ConcurrencyState {
  return { at, newest: 0, slots: new Map(), used: 0, soonest: Infinity };
}

/** Returns the slots that have not ended. */
function held(state: ConcurrencyState, now: number): number {
  const time = Math.max(now, state.at);
  if (time < state.soonest) return state.used;
  let used = 0;
  for (const { end, cost } of state.slots.values()) if (end > time) used += cost;
  return used;
}

/** Returns the log at now; a new one if all of its slots have ended. */
function openLog(state: ConcurrencyState | undefined, now: number): ConcurrencyState {
  if (state === undefined || held(state, now) === 0) return emptyLog(now);
  bringTo(state, now);
  return state;
}

/** Drops slots that have ended. After the clock went back, moves the ends back as far. */
function bringTo(state: ConcurrencyState, now: number): void {
  const time = Math.max(now, state.at);
  const back = time - now;
  state.at = now;
  if (time < state.soonest && back === 0) return;
  const known = [...state.slots];
  state.slots.clear();
  state.used = 0;
  state.soonest = Infinity;
  for (const [id, { end, cost }] of known) if (end > time) put(state, id, { end: end - back, cost });
}

function nextId({ at, newest }: ConcurrencyState): number {
  return Math.max(at, newest + 1);
}

function put(state: ConcurrencyState, id: number, slot: LogEntry): void {
  state.slots.set(id, slot);
  state.newest = Math.max(state.newest, id);
  state.used += slot.cost;
  state.soonest = Math.min(state.soonest, slot.end);
}

function take(state: ConcurrencyState, id: number): void {
  const slot = state.slots.get(id);
  if (slot === undefined) return;
  state.slots.delete(id);
  state.used -= slot.cost;
}
