import type { Decision } from '../core/decision.js';

export const PROBLEM_MEDIA_TYPE = 'application/problem+json';

/**
 * A refusal as problem details: the type `quota-exceeded`, and the names of the limits that refused.
 *
 * Source: RFC 9457; draft-ietf-httpapi-ratelimit-headers-11, section "Problem Types".
 */
export function problemDetails(decision: Decision, detail: string): object {
  return {
    type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
    title: 'Request cannot be satisfied as assigned quota has been exceeded',
    status: 429,
    detail,
    'violated-policies': decision.limits
      .filter(({ allowed, limit }) => !allowed && limit.mode === 'enforce')
      .map(({ limit }) => limit.name),
  };
}
