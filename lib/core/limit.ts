import { createHash } from 'node:crypto';
import { ConfigurationError } from '../common/errors.js';
import { describeValue, quote } from '../common/describe.js';
import { assertList, assertOptionsObject, assertWholeNumber } from '../common/options.js';
import { BoundedMap } from '../common/bounded-map.js';
import {
  calendarFor,
  calendarOf,
  type CalendarOptions,
  type CalendarPosition,
} from '../strategies/calendars.js';
import type { Quota, StrategyName } from '../strategies/strategy.js';
import { isStrategyName, rateStrategyNames } from '../strategies/strategies.js';

/** The largest amount of a moving window on any storage. */
export const MAX_MOVING_WINDOW = 1_000_000;

/** The largest amount of concurrent requests on any storage. */
export const MAX_CONCURRENCY = 100_000;

/** A compiled limit: frozen and shared by all hits. Created by {@link createLimit}. */
export interface Limit extends Quota {
  /**
   * Identifies the limit's count among those of an identity. Limits with the same id share a count:
   * they may differ in amount and calendar, but not in period.
   */
  readonly id: string;
  /** Short digest of the id, which addresses the count in a store. */
  readonly digest: string;
  /** The name in header fields, errors and events. */
  readonly name: string;
  /** The policy of the limit. All limits of a policy are settled together. */
  readonly policy: string;
  /** The place of its declaration, `'@RateLimit on UsersController.login'` or `'The rule "api"'`; `undefined` for a limit by hand. */
  readonly where: string | undefined;
  /** The algorithm that counts the limit. */
  readonly strategy: StrategyName;
  /** A shadow limit counts and reports, but refuses nothing. */
  readonly mode: 'enforce' | 'shadow';
  /** Durations of successive blocks after refusals, in ms; empty for no blocks. */
  readonly block: readonly number[];
  /** Refusals within a period after which a block begins: 1 for the first one. */
  readonly blockAfter: number;
  /** True if hits may be refunded at any time, so that a refusal must not be cached. */
  readonly refundable: boolean;
  /** How long a request waits instead of being refused; absent if it does not wait. */
  readonly wait: LimitWait | undefined;
}

/** How long requests wait for a limit, and how many. */
export interface LimitWait {
  /** Longest wait in ms. */
  readonly maxWait: number;
  /** Most requests that wait in one process for one identity; `Infinity` for no maximum. */
  readonly maxQueue: number;
}

/** Options of {@link createLimit}. */
export interface CreateLimitOptions {
  /** Identifies the limit's count among those of an identity. */
  id: string;
  /** Default: the id. */
  name?: string | undefined;
  /** The policy of the limit. All limits of a policy are settled together. Default: the name. */
  policy?: string | undefined;
  /** @internal The place of its declaration, for decisions and logs. Default: none. */
  where?: string | undefined;
  /** The algorithm that counts the limit. */
  strategy: StrategyName;
  /** Units per period; a whole number. */
  amount: number;
  /**
   * Whole ms; of a calendar window the nominal length, such as 30 days for a month; of `'concurrency'` the time after which a slot
   * that is not renewed is free.
   */
  period: number;
  /** The windows of a `'calendar-window'`, which needs it; excluded for every other strategy. */
  calendar?: CalendarOptions | undefined;
  /** Capacity of a token bucket. Default: the amount. */
  burst?: number | undefined;
  /** A shadow limit counts and reports, but refuses nothing. Default: `'enforce'`. */
  mode?: 'enforce' | 'shadow' | undefined;
  /** Durations of successive blocks after refusals, in whole ms. Default: none. */
  block?: readonly number[] | undefined;
  /** Refusals within a period, from the first of them, after which a block begins; a whole number from 1. Default: 1. */
  blockAfter?: number | undefined;
  /**
   * True if hits may be refunded at any time, so that a refusal must not be cached. Default: false.
   */
  refundable?: boolean | undefined;
  /**
   * @internal How long a request waits instead of being refused: only requests do. Excludes blocks and elastic windows.
   * Default: it does not wait.
   */
  wait?: LimitWait | undefined;
}

/**
 * Compiles a limit.
 *
 * @throws ConfigurationError if an option is out of range or does not fit the strategy
 * @example
 * ```ts
 * import { createLimit, MemoryStorage } from 'nestjs-limits';
 *
 * const limit = createLimit({ id: 'logins', strategy: 'token-bucket', amount: 5, period: 60_000, burst: 10 });
 * const { allowed } = new MemoryStorage().consume([{ identity: 'user:42', limit, cost: 1 }]);
 * ```
 */
export function createLimit(options: CreateLimitOptions): Limit {
  assertOptionsObject('The options of a limit', options);
  const { id, name = id, policy = name, where, mode = 'enforce' } = options;
  const { strategy, amount, period, burst = amount, calendar, wait } = options;
  const { block = [], blockAfter = 1, refundable = false } = options;
  assertTexts({ id, name, policy });
  const ofLimit = (what: string): string => `The ${what} of the limit ${quote(name)}`;
  assertQuota(ofLimit, options);
  assertMode(ofLimit('mode'), mode);
  assertBlocks(ofLimit, strategy, { block, blockAfter });
  if (wait !== undefined) assertCanWait(ofLimit('wait'), strategy, block);
  return Object.freeze({
    id,
    digest: createHash('sha256').update(id).digest('base64url').slice(0, 8),
    name,
    policy,
    where,
    strategy,
    amount,
    period,
    burst,
    calendar: calendar && calendarFor(calendar),
    mode,
    block: Object.freeze([...block]),
    blockAfter,
    refundable,
    wait: wait && Object.freeze({ ...wait }),
  });
}

/** Returns the words for an option of one limit in messages: `The amount of the limit "api"`. */
type OfLimit = (what: string) => string;

function assertTexts(texts: Readonly<Record<string, unknown>>): void {
  for (const [what, text] of Object.entries(texts))
    if (typeof text !== 'string')
      throw new ConfigurationError(`The ${what} of a limit must be a string; got ${describeValue(text)}.`);
}

function assertMode(where: string, mode: string): void {
  if (mode === 'enforce' || mode === 'shadow') return;
  throw new ConfigurationError(`${where} must be "enforce" or "shadow"; got ${describeValue(mode)}.`);
}

function assertQuota(
  ofLimit: OfLimit,
  { strategy, amount, period, burst, calendar }: CreateLimitOptions,
): void {
  if (!isStrategyName(strategy)) {
    throw new ConfigurationError(
      `${ofLimit('strategy')} must be one of ${rateStrategyNames.join(', ')}; got ${describeValue(strategy)}.`,
    );
  }
  assertWholeNumber(ofLimit('amount'), amount, 0);
  assertWholeNumber(ofLimit('period in ms'), period, 1);
  if (strategy === 'moving-window' && amount > MAX_MOVING_WINDOW) {
    throw new ConfigurationError(
      `${ofLimit('amount')} is ${amount}: a moving window remembers each hit and holds at most ${MAX_MOVING_WINDOW}. ` +
        'Take "sliding-window-counter" or "token-bucket" for large amounts.',
    );
  }
  if (strategy === 'concurrency' && amount > MAX_CONCURRENCY)
    throw new ConfigurationError(
      `${ofLimit('amount')} is ${amount}: each slot is remembered, and at most ${MAX_CONCURRENCY} can be.`,
    );
  assertBurst(ofLimit('burst'), strategy, amount, period, burst);
  assertCalendar(ofLimit('calendar'), strategy, calendar);
}

function assertBlocks(
  ofLimit: OfLimit,
  strategy: StrategyName,
  { block, blockAfter }: { readonly block: readonly number[]; readonly blockAfter: number },
): void {
  assertList(ofLimit('block'), block);
  if (strategy === 'concurrency' && block.length > 0)
    throw new ConfigurationError(
      `${ofLimit('block')} does not apply: slots of concurrent requests never block.`,
    );
  for (const duration of block) assertWholeNumber(ofLimit('block in ms'), duration, 1);
  assertWholeNumber(ofLimit('blockAfter'), blockAfter, 1);
}

/**
 * Throws for a limit whose requests cannot wait.
 *
 * @param where names the wait: `The wait of the limit "api"`
 * @throws ConfigurationError
 */
export function assertCanWait(where: string, strategy: StrategyName, block: readonly number[]): void {
  if (block.length > 0)
    throw new ConfigurationError(
      `${where} does not go with a block: a request that waits is not refused, and would start none. Set "wait: false" or "block: []".`,
    );
  if (strategy === 'fixed-window-elastic-expiry')
    throw new ConfigurationError(
      `${where} does not go with the strategy "fixed-window-elastic-expiry": each attempt would extend the window. Set "wait: false" or take another strategy.`,
    );
}

function assertBurst(
  where: string,
  strategy: StrategyName,
  amount: number,
  period: number,
  burst: number | undefined,
): void {
  if (burst !== undefined) {
    if (strategy !== 'token-bucket') {
      throw new ConfigurationError(
        `${where} is for the strategy "token-bucket" only, not for "${strategy}".`,
      );
    }
    assertWholeNumber(where, burst, 1);
    if (amount === 0)
      throw new ConfigurationError(
        `${where} is ${burst} while the amount is 0: such a bucket would never refill.`,
      );
  }
  if (strategy === 'token-bucket' && !Number.isSafeInteger((burst ?? amount) * period)) {
    throw new ConfigurationError(
      `${where} (${burst ?? amount}) times the period (${period} ms) must not exceed ${Number.MAX_SAFE_INTEGER}, or the bucket would lose precision.`,
    );
  }
}

function assertCalendar(where: string, strategy: StrategyName, calendar: unknown): void {
  const isNeeded = strategy === 'calendar-window';
  if (isNeeded === (calendar !== undefined)) return;
  throw new ConfigurationError(
    isNeeded
      ? `${where} is missing. A calendar window needs one: { unit: 'month', timeZone: 'Europe/Berlin' }.`
      : `${where} is for the strategy "calendar-window" only, not for "${strategy}".`,
  );
}

/** Positions that are cached per limit. */
const MAX_POSITIONS = 10_000;

const positioned = new WeakMap<Limit, BoundedMap<Limit>>();

/**
 * Returns a limit with its calendar at another position; the same for equal positions, while it is cached. Returns a limit without a
 * calendar as it is.
 *
 * @throws ConfigurationError for an invalid time zone or anchor
 */
export function limitAt(limit: Limit, { timeZone, anchor }: CalendarPosition): Limit {
  const { calendar } = limit;
  if (calendar === undefined || (timeZone === undefined && anchor === undefined)) return limit;
  let known = positioned.get(limit);
  if (known === undefined) {
    known = new BoundedMap(MAX_POSITIONS);
    positioned.set(limit, known);
  }
  return known.getOrMake(JSON.stringify([timeZone, anchor]), () =>
    Object.freeze({
      ...limit,
      calendar: calendarFor({
        ...calendar,
        timeZone: timeZone ?? calendar.timeZone,
        anchor: anchor ?? calendar.anchor,
      }),
    }),
  );
}

/** Returns the length of a limit's window in ms: of a calendar, of the window that holds an instant in epoch ms. */
export function windowLength({ calendar, period }: Limit, now: number): number {
  if (calendar === undefined) return period;
  const { start, end } = calendarOf(calendar).windowAt(now);
  return end - start;
}

/** Returns where the windows of a limit's calendar lie, as text; empty without a calendar. */
export function positionOf({ calendar }: Limit): string {
  return calendar === undefined ? '' : `${calendar.timeZone} ${calendar.anchor}`;
}

/**
 * Returns true if two limits always decide the same, so that a cached decision of one is valid for
 * the other.
 */
export function isSameLimit(one: Limit, other: Limit): boolean {
  return (
    one === other ||
    (one.id === other.id &&
      one.amount === other.amount &&
      one.burst === other.burst &&
      one.calendar === other.calendar &&
      one.mode === other.mode &&
      one.blockAfter === other.blockAfter &&
      one.block.join() === other.block.join())
  );
}
