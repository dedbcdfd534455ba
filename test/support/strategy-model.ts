import type { Quota, RateStrategyName } from '../../lib/strategies/strategy.js';
import { windowByDefinition } from './calendar-model.js';

/** A hit of a cost above 0 on a limit, taken or refused. */
export interface Attempt {
  readonly at: number;
  readonly cost: number;
  readonly taken: boolean;
}

/**
 * A second, slow implementation of the strategies, written as their definitions read. Returns the
 * units used at an instant not before the last attempt, from the whole history.
 */
export const usedByDefinition: Readonly<
  Record<RateStrategyName, (history: readonly Attempt[], quota: Quota, now: number) => number>
> = {
  /** Counts the current window. A window opens at the first hit outside the previous one. */
  'fixed-window'(history, { period }, now) {
    const last = windowsOf(history, period).at(-1);
    return last !== undefined && now < last.start + period ? last.count : 0;
  },

  /** Counts the hits in the calendar's window that holds the instant. */
  'calendar-window'(history, { calendar }, now) {
    const { start, end } = windowByDefinition(calendarOfQuota(calendar), now);
    return sum(history.filter(({ at, taken }) => taken && at >= start && at < end));
  },

  /**
   * Sums up all hits since the last pause of a whole period between two attempts, the last of which
   * is now.
   */
  'fixed-window-elastic-expiry'(history, { period }, now) {
    let used = 0;
    let end = -Infinity;
    for (const { at, cost, taken } of history) {
      const open = at < end;
      if (taken) used = open ? used + cost : cost;
      if (taken || open) end = at + period;
    }
    return now < end ? used : 0;
  },

  'moving-window'(history, { period }, now) {
    return sum(history.filter(({ at, taken }) => taken && at > now - period && at <= now));
  },

  /**
   * Adds the count of the current window to that of the previous one, weighted by the share that a
   * window ending now covers.
   */
  'sliding-window-counter'(history, { period }, now) {
    let start = -Infinity;
    let counts: [previous: number, current: number] = [0, 0];
    const moveTo = (time: number): void => {
      if (time < start + period) return;
      const [, current] = counts;
      const follows = time < start + 2 * period && current > 0;
      counts = follows ? [current, 0] : [0, 0];
      start = follows ? start + period : time;
    };
    for (const { at, cost } of history.filter(({ taken }) => taken)) {
      moveTo(at);
      counts[1] += cost;
    }
    moveTo(now);
    const weighed = (BigInt(counts[0]) * BigInt(Math.max(0, start + period - now))) / BigInt(period);
    return Number(weighed) + counts[1];
  },

  /** Returns the maximum by which a run of hits up to now exceeded its refill, in whole tokens. */
  'token-bucket'(history, quota, now) {
    return Math.ceil(levelByDefinition(history, quota, now) / quota.period);
  },
};

/**
 * Returns the windows, each opened by the first hit after the end of the previous one, with their
 * counts.
 */
export function windowsOf(history: readonly Attempt[], period: number): { start: number; count: number }[] {
  const windows: { start: number; count: number }[] = [];
  for (const { at, cost } of history.filter(({ taken }) => taken)) {
    const last = windows.at(-1);
    if (last !== undefined && at < last.start + period) last.count += cost;
    else windows.push({ start: at, count: cost });
  }
  return windows;
}

/** Returns the maximum taken in any half-open span [t, t + length). */
export function mostWithin(history: readonly Attempt[], length: number): number {
  const taken = history.filter((attempt) => attempt.taken);
  return Math.max(
    0,
    ...taken.map(({ at: from }) => sum(taken.filter(({ at }) => at >= from && at < from + length))),
  );
}

/** Returns the maximum by which a run of hits exceeded its refill, in unit·ms. */
export function mostAboveRefill(history: readonly Attempt[], quota: Quota): number {
  return Math.max(
    0,
    ...history.map(({ at }, index) => levelByDefinition(history.slice(0, index + 1), quota, at)),
  );
}

/**
 * Returns the maximum by which a run of hits up to now exceeded the refill since its first hit, in
 * unit·ms.
 */
export function levelByDefinition(
  history: readonly Attempt[],
  { amount, period }: Quota,
  now: number,
): number {
  const taken = history.filter((attempt) => attempt.taken);
  return Math.max(0, ...taken.map(({ at }, index) => sum(taken.slice(index)) * period - (now - at) * amount));
}

function calendarOfQuota(calendar: Quota['calendar']): NonNullable<typeof calendar> {
  if (calendar === undefined) throw new Error('a calendar window needs a calendar');
  return calendar;
}

function sum(attempts: readonly Attempt[]): number {
  return attempts.reduce((total, { cost }) => total + cost, 0);
}
