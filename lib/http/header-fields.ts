import type { Decision } from '../core/decision.js';
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
  const policies: string[] = [];
  const limits: string[] = [];
  for (const { limit, remaining, resetTime, retryAfter } of decision.limits) {
    if (limit.mode === 'shadow') continue;
    const { name, policy } = partsOf(limit);
    policies.push(
      limit.calendar === undefined ? policy : `${policy};w=${toSeconds(windowLength(limit, decision.now))}`,
    );
    const hasTime = Number.isFinite(retryAfter) && limit.strategy !== 'concurrency';
    const time = hasTime ? `;t=${toSeconds(resetTime - decision.now)}` : '';
    limits.push(`${name};r=${toInteger(remaining)}${time}`);
  }
  return limits.length === 0
    ? []
    : [
        ['RateLimit-Policy', policies.join(', ')],
        ['RateLimit', limits.join(', ')],
      ];
}

/**
 * Returns `X-RateLimit-Limit`, `-Remaining` and `-Reset` (seconds from now) of the binding limit, other than slots of concurrent
 * requests, as `@nestjs/throttler` sends them. Returns none if no limit is enforced.
 */
export function legacyFields(decision: Decision): HeaderField[] {
  const binding = decision.bindingAmong(({ limit }) => limit.strategy !== 'concurrency');
  if (binding === undefined || binding.limit.mode === 'shadow') return [];
  const { limit, remaining, resetTime } = binding;
  return [
    ['X-RateLimit-Limit', String(toInteger(limit.amount))],
    ['X-RateLimit-Remaining', String(toInteger(remaining))],
    ['X-RateLimit-Reset', String(toSeconds(resetTime - decision.now))],
  ];
}

/**
 * Returns `Retry-After` of a refusal, in seconds, or none if no wait would help or its length is not known. Source: RFC 9110,
 * section 10.2.3.
 */
export function retryAfterFields(decision: Decision): HeaderField[] {
  const { allowed, retryAfter } = decision;
  return allowed || retryAfter === undefined || retryAfter === Infinity
    ? []
    : [['Retry-After', String(toSeconds(retryAfter))]];
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
