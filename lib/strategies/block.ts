/** A block: until it ends, its limit refuses every hit, whatever remains. */
export interface BlockState {
  /** Epoch ms at which the block ends; 0 if there was none. */
  until: number;
  /** Index of the duration that was used; the next block uses the next one. */
  level: number;
  /** Amount of the limit that refused. A limit with a larger amount does not obey the block. */
  amount: number;
  /** Epoch ms at which the current period of reservations began. */
  start: number;
  /** Units reserved in that period, whose hits are not known to count yet. */
  pending: number;
  /** The same for the period before. A reservation that is never settled is dropped with its period. */
  before: number;
  /** Refusals without a block, in the period that began at `since`. */
  refusals: number;
  /** Epoch ms of the first of these refusals. */
  since: number;
}

/** The amount of a block that every limit obeys: one set by hand, or stored before blocks had an amount. */
const EVERY_AMOUNT = Number.MAX_SAFE_INTEGER;

const NO_REFUSALS = { refusals: 0, since: 0 };

/** The numbers of a limit that blocks. */
export interface BlockRule {
  /** Units allowed per period. */
  readonly amount: number;
  /** Durations in ms: of the first block, the second, …; at least one. */
  readonly block: readonly number[];
  /** Refusals within a period, from the first of them, after which a block begins. */
  readonly blockAfter: number;
  /** Length of the limit's window in ms. */
  readonly period: number;
}

/**
 * Blocks a limit after a refusal, or after several within a period, for longer each time if several durations are given. The level resets once the longest
 * duration has passed without a block. Pure steps, like those of a strategy.
 *
 * Limits of several amounts may share a count, such as those of plans. A raised amount lifts the block of the lower one, unless
 * the count exhausts the raised amount too: then that limit refuses and blocks by its own rule.
 *
 * A limit whose hits may turn out not to count blocks only when hits that do count exhaust it. So its block keeps the units
 * that are reserved and not settled.
 */
export const block = {
  /** Returns the epoch ms at which the block ends; `now` if there is none. */
  blockedUntil(state: BlockState | undefined, rule: BlockRule, now: number): number {
    if (state === undefined || rule.amount > state.amount) return now;
    return Math.max(now, Math.min(state.until, now + longest(rule)));
  },

  /** Returns the state after a refusal that happened while no block was in force: it counts, or begins a block. */
  commit(state: BlockState | undefined, rule: BlockRule, now: number): BlockState {
    const refusals = refusalsBefore(state, rule, now) + 1;
    if (refusals < rule.blockAfter) {
      const since = refusals === 1 ? now : Math.min(state?.since ?? now, now);
      return { ...reservations(state, rule, now), refusals, since };
    }
    const again = state !== undefined && state.until > 0 && now < state.until + longest(rule);
    const level = again ? Math.min(state.level + 1, rule.block.length - 1) : 0;
    const until = now + (rule.block[level] ?? 0);
    return { ...reservations(state, rule, now), ...NO_REFUSALS, until, level, amount: rule.amount };
  },

  /** Returns the state with a block set by hand (the next refusal uses the second duration), or lifted. */
  byHand(
    state: BlockState | undefined,
    rule: BlockRule,
    duration: number,
    now: number,
  ): BlockState | undefined {
    const until = duration > 0 ? now + duration : 0;
    const next = { ...reservations(state, rule, now), ...NO_REFUSALS, until, level: 0, amount: EVERY_AMOUNT };
    return next.until > 0 || next.pending + next.before > 0 ? next : undefined;
  },

  /** Shortens, in place, a block from the future that a clock which went back has left; returns true if it did. */
  shorten(state: BlockState, rule: BlockRule, now: number): boolean {
    const latest = now + longest(rule);
    if (state.until <= latest) return false;
    state.until = latest;
    return true;
  },

  /** Returns the units that are reserved and not settled. */
  pending(state: BlockState | undefined, rule: BlockRule, now: number): number {
    const { pending, before } = reservations(state, rule, now);
    return pending + before;
  },

  /** Returns the state after units were reserved. */
  reserve(state: BlockState | undefined, rule: BlockRule, cost: number, now: number): BlockState {
    const next = reservations(state, rule, now);
    next.pending += cost;
    return next;
  },

  /** Returns the state after units that were reserved at a time have been settled. */
  settle(
    state: BlockState | undefined,
    rule: BlockRule,
    cost: number,
    at: number,
    now: number,
  ): BlockState | undefined {
    if (state === undefined) return undefined;
    const next = reservations(state, rule, now);
    if (at >= next.start) next.pending = Math.max(0, next.pending - cost);
    else if (at >= next.start - rule.period) next.before = Math.max(0, next.before - cost);
    return block.expiresAt(next, rule) > now ? next : undefined;
  },

  /** Returns the epoch ms at which the last reservation is dropped, if it is never settled; 0 if there is none. */
  reservedUntil({ start, pending, before }: BlockState, { period }: Pick<BlockRule, 'period'>): number {
    if (pending > 0) return start + 2 * period;
    return before > 0 ? start + period : 0;
  },

  expiresAt(state: BlockState, rule: BlockRule): number {
    const levelEnd = state.until > 0 ? state.until + longest(rule) : 0;
    const countedUntil = state.refusals > 0 ? state.since + rule.period : 0;
    return Math.max(levelEnd, countedUntil, block.reservedUntil(state, rule));
  },

  encode({ until, level, amount, start, pending, before, refusals, since }: BlockState): number[] {
    if (refusals > 0) return [until, level, start, pending, before, amount, refusals, since];
    const reserved = pending + before > 0 ? [start, pending, before] : [];
    return [until, level, ...reserved, ...(amount === EVERY_AMOUNT ? [] : [amount])];
  },

  decode([until = 0, level = 0, ...others]: readonly number[]): BlockState {
    const hasReserved = others.length >= 3;
    const [start = 0, pending = 0, before = 0] = hasReserved ? others : [];
    const amount = others[hasReserved ? 3 : 0] ?? EVERY_AMOUNT;
    const [refusals = 0, since = 0] = others.slice(4);
    return { until, level, amount, start, pending, before, refusals, since };
  },
};

/** Returns a copy of the state whose periods of reservations are advanced to now. */
function reservations(state: BlockState | undefined, { period }: BlockRule, now: number): BlockState {
  if (state === undefined)
    return { until: 0, level: 0, amount: EVERY_AMOUNT, start: now, pending: 0, before: 0, ...NO_REFUSALS };
  if (now >= block.reservedUntil(state, { period })) return { ...state, start: now, pending: 0, before: 0 };
  const elapsed = now - state.start;
  if (elapsed < 0) return { ...state, start: now };
  if (elapsed < period) return { ...state };
  return { ...state, start: state.start + period, pending: 0, before: state.pending };
}

/** Returns the refusals that count together with one now. */
function refusalsBefore(state: BlockState | undefined, { period }: BlockRule, now: number): number {
  return state === undefined || now - state.since >= period ? 0 : state.refusals;
}

function longest({ block: durations }: BlockRule): number {
  return Math.max(...durations);
}
