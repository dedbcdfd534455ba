import fc from 'fast-check';
import { loadTemporal } from '../../lib/common/temporal.js';
import type { CalendarUnit } from '../../lib/strategies/calendar.js';
import { calendarFor } from '../../lib/strategies/calendars.js';
import { strategies } from '../../lib/strategies/strategies.js';
import {
  retryAfter,
  type Consumption,
  type CostChange,
  type Evaluation,
  type Quota,
  type StrategyName,
} from '../../lib/strategies/strategy.js';

await loadTemporal();

/** Start of timelines, in epoch ms. */
export const START = 1_700_000_000_000;

/** Runs per property. */
export const RUNS = { numRuns: Number(process.env['PROPERTY_RUNS'] ?? 1000) };

/** A hit after a delay. */
export interface Step {
  /** Ms since the previous step; negative if the clock goes back. */
  readonly wait: number;
  readonly cost: number;
}

/** A quota and the steps on it. */
export interface Scenario {
  readonly quota: Quota;
  readonly steps: readonly Step[];
}

/** The consumption of one hit. */
export interface Taken extends Consumption {
  readonly cost: number;
}

/** The state of one identity under one strategy, updated as a storage does. */
export class Subject {
  constructor(
    readonly name: StrategyName,
    readonly quota: Quota,
    private state?: object,
  ) {}

  /** Returns the verdict on a hit; `retryAfter` is NaN if the time is not known. */
  evaluate(cost: number, now: number): Evaluation & { readonly retryAfter: number } {
    const { name, state, quota } = this;
    const strategy = strategies[name];
    const remaining = strategy.remaining(state, quota, now);
    return {
      allowed: cost <= remaining,
      remaining,
      resetTime: strategy.resetTime(state, quota, now),
      retryAfter: retryAfter(strategy, state, quota, cost, remaining, now) ?? NaN,
    };
  }

  remaining(now: number): number {
    return strategies[this.name].remaining(this.state, this.quota, now);
  }

  /** Takes a hit if it is allowed. Returns its consumption. */
  hit(cost: number, now: number): Taken | undefined {
    if (cost === 0) return undefined;
    if (this.evaluate(cost, now).allowed) return this.take(cost, now);
    this.refuse(now);
    return undefined;
  }

  /** Takes a cost without a check. */
  take(cost: number, now: number): Taken {
    const strategy = strategies[this.name];
    this.state = strategy.commit(this.state, this.quota, cost, now);
    return { at: now, window: strategy.window(this.state), cost };
  }

  /** Refuses a hit. */
  refuse(now: number): void {
    if (this.state !== undefined) strategies[this.name].refuse(this.state, this.quota, now);
  }

  /** Reserves a cost, possibly 0, if it is allowed. Returns its consumption, if any. */
  reserve(cost: number, now: number): Taken | undefined {
    return cost === 0 ? { at: now, window: undefined, cost } : this.hit(cost, now);
  }

  /** Settles a hit to its actual cost. Returns the hit with that cost. */
  settle(taken: Taken, actual: number, now: number): Taken {
    const { window } = this.#settle({ cost: taken.cost, actual, of: taken }, now);
    return { at: taken.at, window, cost: actual };
  }

  /** Returns units to the current window. */
  refundByHand(cost: number, now: number): void {
    this.#settle({ cost, actual: 0, of: 'current' }, now);
  }

  /** Units used: more than the capacity, if settlements charged more. */
  used(now: number): number {
    const much = 2 ** 30;
    return much - this.withQuota({ ...this.quota, amount: much, burst: much }).remaining(now);
  }

  /** Returns the encoded state; `undefined` if there is none. */
  get numbers(): number[] | undefined {
    return this.state === undefined ? undefined : strategies[this.name].encode(this.state);
  }

  /** Returns the expiry of the state; `undefined` if there is none. */
  get expiresAt(): number | undefined {
    return this.state === undefined ? undefined : strategies[this.name].expiresAt(this.state, this.quota);
  }

  /** Encodes and decodes the state, as a storage of texts does between hits. */
  storeAndLoad(): void {
    if (this.numbers !== undefined) this.state = strategies[this.name].decode(this.numbers);
  }

  copy(): Subject {
    return this.withQuota(this.quota);
  }

  /** Returns a copy of the state under another quota, as after a change of plan. */
  withQuota(quota: Quota): Subject {
    return new Subject(this.name, quota, structuredClone(this.state));
  }

  #settle(change: CostChange, now: number): { window: number | undefined } {
    const { state, window } = strategies[this.name].settle(this.state, this.quota, change, now);
    this.state = state;
    return { window };
  }
}

/**
 * Plays the steps from {@link START} on. Calls back after each with its consumption and its time.
 */
export function play<Kind extends Step>(
  subject: Subject,
  steps: readonly Kind[],
  after: (taken: Taken | undefined, now: number, step: Kind) => void = () => undefined,
): number {
  let now = START;
  for (const step of steps) {
    now += step.wait;
    after(subject.hit(step.cost, now), now, step);
  }
  return now;
}

/** Returns the longest time until the full quota is available again, without further hits. */
export function longestRecovery(name: StrategyName, { amount, period, burst }: Quota): number {
  switch (name) {
    case 'sliding-window-counter':
      return 2 * period;
    case 'token-bucket':
      return Math.ceil((burst * period) / amount);
    case 'calendar-window':
      return Math.ceil((period * 31) / 30); // of a month; a year has 366 days, 360 of them nominal
    case 'fixed-window':
    case 'fixed-window-elastic-expiry':
    case 'moving-window':
    case 'concurrency':
      return period;
  }
}

/** Generates small quotas, with periods of a few ms. */
export function smallQuotas(name: StrategyName): fc.Arbitrary<Quota> {
  return withBurst(name, fc.integer({ min: 1, max: 7 }), fc.integer({ min: 1, max: 24 }));
}

/** Generates quotas as in applications, with periods up to a year. */
export function realisticQuotas(name: StrategyName): fc.Arbitrary<Quota> {
  const periods = [1000, 10_000, 60_000, 3_600_000, 86_400_000, 2_592_000_000, 31_104_000_000];
  return withBurst(name, fc.constantFrom(1, 3, 5, 10, 60, 100, 1000, 9999), fc.constantFrom(...periods));
}

export function quotas(name: StrategyName): fc.Arbitrary<Quota> {
  return fc.oneof(smallQuotas(name), realisticQuotas(name));
}

/**
 * Generates a quota with steps near the edges: no cost, one ms around the period, the whole
 * capacity.
 */
export function scenarios(
  name: StrategyName,
  {
    quota = quotas(name),
    maxSteps = 20,
    clockGoesBack = false,
  }: { quota?: fc.Arbitrary<Quota>; maxSteps?: number; clockGoesBack?: boolean } = {},
): fc.Arbitrary<Scenario> {
  return quota.chain((given) => {
    const wait = waits(given, clockGoesBack);
    const step = fc.record({ wait, cost: costs(given) });
    return fc.record({ quota: fc.constant(given), steps: fc.array(step, { maxLength: maxSteps }) });
  });
}

/** Generates costs from 0 to one above the capacity, most of them small. */
export function costs({ burst }: Quota): fc.Arbitrary<number> {
  return fc.oneof(
    { weight: 3, arbitrary: fc.constant(1) },
    { weight: 2, arbitrary: fc.integer({ min: 0, max: burst + 1 }) },
    { weight: 1, arbitrary: fc.constantFrom(0, burst, burst + 1) },
  );
}

function waits({ period, amount }: Quota, clockGoesBack: boolean): fc.Arbitrary<number> {
  const forward = fc.oneof(
    fc.constantFrom(0, 1, period - 1, period, period + 1, 2 * period),
    fc.integer({ min: 0, max: Math.ceil(period / amount) }),
    fc.integer({ min: 0, max: period }),
    fc.integer({ min: 0, max: 3 * period }),
  );
  if (!clockGoesBack) return forward;
  const back = fc.oneof(
    fc.constantFrom(1, period - 1, period, period + 1),
    fc.integer({ min: 0, max: 10 * period }),
  );
  return fc.oneof({ weight: 4, arbitrary: forward }, { weight: 1, arbitrary: back.map((wait) => -wait) });
}

function withBurst(
  name: StrategyName,
  amounts: fc.Arbitrary<number>,
  periods: fc.Arbitrary<number>,
): fc.Arbitrary<Quota> {
  const factors = name === 'token-bucket' ? fc.constantFrom(1, 1, 2, 3, 10) : fc.constant(1);
  const extra = name === 'token-bucket' ? fc.constantFrom(0, 0, 1) : fc.constant(0);
  return fc.tuple(amounts, periods, factors, extra).map(([amount, period, factor, more]) => ({
    amount,
    period,
    burst: amount * factor + more,
    ...(name === 'calendar-window' ? { calendar: calendarFor(calendarRule(period)) } : {}),
  }));
}

/** Returns the calendar that a limit of a strategy needs, if any. */
export function calendarOf(strategy: StrategyName, unit: CalendarUnit): { unit: CalendarUnit } | undefined {
  return strategy === 'calendar-window' ? { unit } : undefined;
}

const UNITS: readonly [unit: CalendarUnit, milliseconds: number][] = [
  ['year', 31_104_000_000],
  ['month', 2_592_000_000],
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
  ['second', 1000],
];

/** Returns the calendar of windows with a nominal length, in the largest unit that divides it. */
function calendarRule(period: number): { unit: CalendarUnit; multiple: number } {
  const [unit, length] = UNITS.find(([, milliseconds]) => period % milliseconds === 0) ?? ['millisecond', 1];
  return { unit, multiple: period / length };
}
