import type { Decision } from '../limiter/decision.js';
import type { Limit } from '../storages/limit.js';

/** A header field's name and value. */
export type HeaderField = readonly [name: string, value: string];

/** The largest integer of RFC 9651: 15 digits. */
const LARGEST_INTEGER = 999_999_999_999_999;

/**
 * `RateLimit-Policy` and `RateLimit`: one member per enforced limit, seconds rounded up; no time where no wait would
 * help.
 *
 * Source: draft-ietf-httpapi-ratelimit-headers-11, over the lists of strings of RFC 9651. A limit's name holds no character
 * that a quoted string would have to escape.
 */
export function standardFields(decision: Decision): HeaderField[] {
  const policies: string[] = [];
  const limits: string[] = [];
  for (const { limit, remaining, resetTime, retryAfter } of decision.limits) {
    if (limit.mode === 'shadow') continue;
    policies.push(policyMember(limit));
    const time = Number.isFinite(retryAfter) ? `;t=${toSeconds(resetTime - decision.now)}` : '';
    limits.push(`"${limit.name}";r=${Math.min(remaining, LARGEST_INTEGER)}${time}`);
  }
  return limits.length === 0
    ? []
    : [
        ['RateLimit-Policy', policies.join(', ')],
        ['RateLimit', limits.join(', ')],
      ];
}

/** `X-RateLimit-Limit`, `-Remaining` and `-Reset` (seconds from now) of the binding limit, as `@nestjs/throttler` sends them. */
export function legacyFields(decision: Decision): HeaderField[] {
  const { limit, remaining, resetTime } = decision.binding;
  return [
    ['X-RateLimit-Limit', String(limit.amount)],
    ['X-RateLimit-Remaining', String(remaining)],
    ['X-RateLimit-Reset', String(toSeconds(resetTime - decision.now))],
  ];
}

/** `Retry-After` of a refusal, in seconds; none when no wait would help. Source: RFC 9110, section 10.2.3. */
export function retryAfterFields(decision: Decision): HeaderField[] {
  const { retryAfter } = decision;
  return decision.allowed || !Number.isFinite(retryAfter)
    ? []
    : [['Retry-After', String(toSeconds(retryAfter))]];
}

const policyMembers = new WeakMap<Limit, string>();

function policyMember(limit: Limit): string {
  let member = policyMembers.get(limit);
  if (member === undefined) {
    member = `"${limit.name}";q=${Math.min(limit.amount, LARGEST_INTEGER)};w=${toSeconds(limit.period)}`;
    policyMembers.set(limit, member);
  }
  return member;
}

function toSeconds(milliseconds: number): number {
  return Math.ceil(milliseconds / 1000);
}
