import type { Outcome } from '../core/contract.js';
import { bindingOf, type Decision } from '../core/decision.js';
import { windowLength, type Limit } from '../core/limit.js';

/** A header field's name and value. */
export type HeaderField = readonly [name: string, value: string];

/** The largest integer of RFC 9651: 15 digits. */
const MAX_INTEGER = 999_999_999_999_999;

/**
 * Returns `RateLimit-Policy` and `RateLimit`: one member per enforced limit, with seconds rounded
 * up. The window of a calendar is the current one. A limit that no wait would satisfy has no time, and neither have slots of
 * concurrent requests.
 *
 * Source: draft-ietf-httpapi-ratelimit-headers-11, over the lists of strings of RFC 9651.
 */
export function standardFields(decision: Decision): HeaderField[] {
  let [policies, limits] = ['', '']; // joined here: a list is slower, and most decisions have one limit
  for (const { limit, remaining, resetTime, retryAfter } of decision.limits) {
    if (limit.mode === 'shadow') continue;
    const { name, policy } = partsOf(limit);
    const separator = limits === '' ? '' : ', ';
    policies += separator + policy;
    if (limit.calendar !== undefined) policies += `;w=${toSeconds(windowLength(limit, decision.now))}`;
    const hasTime = Number.isFinite(retryAfter) && limit.strategy !== 'concurrency';
    const time = hasTime ? `;t=${toSeconds(resetTime - decision.now)}` : '';
    limits += `${separator}${name};r=${toInteger(remaining)}${time}`;
  }
  return limits === ''
    ? []
    : [
        ['RateLimit-Policy', policies],
        ['RateLimit', limits],
      ];
}

/** The form of the legacy header fields. */
export interface LegacyHeaders {
  /**
   * Value of `X-RateLimit-Reset`: `'seconds'` from now, as in `@nestjs/throttler`; seconds since
   * the `'epoch'`, as GitHub sends them; or an `'iso'` date.
   *
   * @default 'seconds'
   */
  reset?: 'seconds' | 'epoch' | 'iso' | undefined;
  /**
   * True to send one set of fields per limit, with its name as a suffix, and `Retry-After-name`
   * if it refuses. The limit `default` has no suffix. Excludes `show`.
   *
   * @default false
   */
  perLimit?: boolean | undefined;
  /**
   * Name of the limit or policy to show; nothing is sent where it does not apply.
   *
   * By default, the limit that refused, else the one with the least left of those that the
   * request takes from.
   *
   * @default the limit that refused, or has the least left
   */
  show?: string | undefined;
}

/**
 * Returns `X-RateLimit-Limit`, `-Remaining` and `-Reset` of one limit, or of each. Slots of concurrent
 * requests are left out, unless `show` names them. Returns none if no limit is enforced.
 */
export function legacyFields(
  decision: Decision,
  { reset = 'seconds', perLimit = false, show }: LegacyHeaders = {},
): HeaderField[] {
  const enforced = decision.limits.filter(({ limit }) => limit.mode === 'enforce');
  const shown = perLimit ? enforced.filter(isRate) : shownOf(enforced, show);
  return shown.flatMap(({ limit, remaining, resetTime }) => {
    const suffix = perLimit ? suffixOf(limit) : '';
    return [
      [`X-RateLimit-Limit${suffix}`, String(toInteger(limit.amount))],
      [`X-RateLimit-Remaining${suffix}`, String(toInteger(remaining))],
      [`X-RateLimit-Reset${suffix}`, resetValue(reset, resetTime, decision.now)],
    ];
  });
}

/** Returns the outcome to show, or none. */
function shownOf(enforced: readonly Outcome[], show: string | undefined): Outcome[] {
  const rates = enforced.filter(isRate);
  const named = enforced.filter(
    (outcome) => outcome.limit.name === show || (outcome.limit.policy === show && isRate(outcome)),
  );
  const taken = rates.filter(({ cost }) => cost > 0);
  const candidates = show !== undefined ? named : taken.length > 0 ? taken : rates;
  return candidates.length > 0 ? [bindingOf(candidates)] : [];
}

/** Returns true for any limit but slots of concurrent requests, which do not reset at a known time. */
function isRate({ limit }: Outcome): boolean {
  return limit.strategy !== 'concurrency';
}

/** Returns the end of a field's name. Names of limits may have a slash, names of fields may not. */
function suffixOf({ name }: Limit): string {
  return name === 'default' ? '' : `-${name.replace(/[^\w.-]/g, '-')}`;
}

/** The latest time that a `Date` can hold, in epoch ms. */
const MAX_DATE_MS = 8.64e15;

function resetValue(form: 'seconds' | 'epoch' | 'iso', resetTime: number, now: number): string {
  switch (form) {
    case 'seconds':
      return String(toSeconds(resetTime - now));
    case 'epoch':
      return String(toSeconds(resetTime));
    case 'iso':
      return new Date(Math.min(Math.max(resetTime, 0), MAX_DATE_MS) || 0).toISOString(); // not NaN
  }
}

/**
 * Returns `Retry-After` of a refusal, in seconds, or none if no wait would help or its length is not known. Source: RFC 9110,
 * section 10.2.3.
 *
 * @param perLimit true to add one field for each limit that refuses, named by it: `Retry-After-login`
 */
export function retryAfterFields(decision: Decision, perLimit = false): HeaderField[] {
  if (decision.allowed) return [];
  const refusing = perLimit
    ? decision.limits.filter(({ limit, allowed }) => !allowed && limit.mode === 'enforce')
    : [];
  const times = new Map([
    ['', decision.retryAfter],
    ...refusing.flatMap(({ limit, retryAfter }) => {
      const suffix = suffixOf(limit);
      return suffix === '' ? [] : [[suffix, retryAfter] as const];
    }),
  ]);
  return [...times].flatMap(([suffix, time]) =>
    time === undefined || time === Infinity ? [] : [[`Retry-After${suffix}`, String(toSeconds(time))]],
  );
}

/** The parts of the fields that a limit determines. They are the same in every decision. */
interface LimitParts {
  readonly name: string;
  /** Without the window of a calendar, whose length changes. */
  readonly policy: string;
}

const parts = new WeakMap<Limit, LimitParts>();

function partsOf(limit: Limit): LimitParts {
  let known = parts.get(limit);
  if (known === undefined) {
    const name = quoted(limit.name);
    known = { name, policy: `${name};q=${toInteger(limit.amount)}${windowOf(limit)}` };
    parts.set(limit, known);
  }
  return known;
}

/** Returns the window of a limit, or the unit of its quota if that is not a request per window. */
function windowOf({ strategy, calendar, period }: Limit): string {
  if (strategy === 'concurrency') return ';qu="concurrent-requests"';
  return calendar === undefined ? `;w=${toSeconds(period)}` : '';
}

/** Formats a String of RFC 9651. Names of policies need no escaping; limits with custom names or units may. */
function quoted(text: string): string {
  return `"${text.replace(/[^\x20-\x7e]/gu, '?').replace(/["\\]/g, '\\$&')}"`;
}

/** Returns whole seconds, rounded up. */
function toSeconds(milliseconds: number): number {
  return toInteger(Math.ceil(milliseconds / 1000));
}

/** Returns a non-negative Integer of RFC 9651. */
function toInteger(value: number): number {
  return Math.trunc(Math.min(Math.max(value, 0), MAX_INTEGER)) || 0; // neither -0 nor NaN
}
