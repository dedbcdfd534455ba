import type { Quota, StrategyName } from '../../lib/strategies/strategy.js';

/** Something that happened to a limit: a hit of a cost above 0, taken or refused. */
export interface Attempt {
  readonly at: number;
  readonly cost: number;
  readonly taken: boolean;
}

/**
 * The strategies once more, told from the whole history and as plainly as their definitions read, however slow: units used
 * at an instant not before the last attempt.
 */
export const usedByDefinition: Readonly<
  Record<StrategyName, (history: readonly Attempt[], quota: Quota, now: number) => number>
> = {
  /** A window opens at the first hit outside the one before. */
  'fixed-window'(history, { period }, now) {
    const last = windowsOf(history, period).at(-1);
    return last !== undefined && now < last.start + period ? last.count : 0;
  },

  /** All since the last pause of a whole period between two attempts, the last of which is now. */
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

  /** What the current window counted, and of the one before as much as the share of it that a window ending now would cover. */
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

  /** The most that any run of hits up to now took above what was refilled meanwhile; tokens are whole. */
  'token-bucket'(history, quota, now) {
    return Math.ceil(levelByDefinition(history, quota, now) / quota.period);
  },
};

/** The windows that open at the first hit after the end of the one before, and what each counted. */
export function windowsOf(history: readonly Attempt[], period: number): { start: number; count: number }[] {
  const windows: { start: number; count: number }[] = [];
  for (const { at, cost } of history.filter(({ taken }) => taken)) {
    const last = windows.at(-1);
    if (last !== undefined && at < last.start + period) last.count += cost;
    else windows.push({ start: at, count: cost });
  }
  return windows;
}

/** The most that was taken in any half-open span [t, t + length). */
export function mostWithin(history: readonly Attempt[], length: number): number {
  const taken = history.filter((attempt) => attempt.taken);
  return Math.max(
    0,
    ...taken.map(({ at: from }) => sum(taken.filter(({ at }) => at >= from && at < from + length))),
  );
}

/** The most that any run of hits took above what was refilled meanwhile, in unit·ms. */
export function mostAboveRefill(history: readonly Attempt[], quota: Quota): number {
  return Math.max(
    0,
    ...history.map(({ at }, index) => levelByDefinition(history.slice(0, index + 1), quota, at)),
  );
}

/** The most that any run of hits up to now took above what was refilled since its first, in unit·ms. */
export function levelByDefinition(
  history: readonly Attempt[],
  { amount, period }: Quota,
  now: number,
): number {
  const taken = history.filter((attempt) => attempt.taken);
  return Math.max(0, ...taken.map(({ at }, index) => sum(taken.slice(index)) * period - (now - at) * amount));
}

function sum(attempts: readonly Attempt[]): number {
  return attempts.reduce((total, { cost }) => total + cost, 0);
}
