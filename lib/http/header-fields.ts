import type { Decision } from '../core/decision.js';
import { windowLength, type Limit } from '../core/limit.js';

/** A header field's name and value. */
export type HeaderField = readonly [name: string, value: string];

/** The largest integer of RFC 9651: 15 digits. */
const MAX_INTEGER = 999_999_999_999_999;

/**
 * Returns `RateLimit-Policy` and `RateLimit`: one member per enforced limit, with seconds rounded
 * up. The window of a calendar is the current one. A limit that no wait would satisfy has no time.
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
    const time = Number.isFinite(retryAfter) ? `;t=${toSeconds(resetTime - decision.now)}` : '';
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
 * Returns `X-RateLimit-Limit`, `-Remaining` and `-Reset` (seconds from now) of the binding limit,
 * as `@nestjs/throttler` sends them. Returns none if no limit is enforced.
 */
export function legacyFields(decision: Decision): HeaderField[] {
  const { limit, remaining, resetTime } = decision.binding;
  if (limit.mode === 'shadow') return [];
  return [
    ['X-RateLimit-Limit', String(toInteger(limit.amount))],
    ['X-RateLimit-Remaining', String(toInteger(remaining))],
    ['X-RateLimit-Reset', String(toSeconds(resetTime - decision.now))],
  ];
}

/**
 * Returns `Retry-After` of a refusal, in seconds, or none if no wait would help. Source: RFC 9110,
 * section 10.2.3.
 */
export function retryAfterFields(decision: Decision): HeaderField[] {
  const { retryAfter } = decision;
  return decision.allowed || !Number.isFinite(retryAfter)
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
    const window = limit.calendar === undefined ? `;w=${toSeconds(limit.period)}` : '';
    known = { name, policy: `${name};q=${toInteger(limit.amount)}${window}` };
    parts.set(limit, known);
  }
  return known;
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
