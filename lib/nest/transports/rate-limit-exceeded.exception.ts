import { HttpException, HttpStatus } from '@nestjs/common';
import type { Decision } from '../../core/decision.js';
import { windowLength, type Limit } from '../../core/limit.js';
import { describePeriod, describeUnits } from '../../notation/describe-period.js';

/** The body of a refusal. Times are in seconds; `retryAfter` is `null` if no wait would help, or its length is not known. */
export interface RefusalBody {
  /** 429. */
  readonly statusCode: number;
  /** `'Too Many Requests'`. */
  readonly error: string;
  /** A text for people: the limit, and when to try again. */
  readonly message: string;
  /** The limit that refused. */
  readonly limit: {
    readonly name: string;
    /** Units allowed per period. */
    readonly amount: number;
    /** Seconds; of a calendar, the length of the current window; `null` for concurrent requests. */
    readonly period: number | null;
    /** Units left, fewer than the cost of the request. */
    readonly remaining: number;
  };
  /** Seconds until the same request would be allowed. */
  readonly retryAfter: number | null;
}

/**
 * A request was refused: 429 Too Many Requests. Contains the decision. The body names the limit
 * that refused.
 *
 * @example
 * ```json
 * {
 *   "statusCode": 429,
 *   "error": "Too Many Requests",
 *   "message": "Rate limit \"default\" exceeded: 5 per minute. Try again in 42 s.",
 *   "limit": { "name": "default", "amount": 5, "period": 60, "remaining": 0 },
 *   "retryAfter": 42
 * }
 * ```
 * Periods and `retryAfter` are in seconds; `retryAfter` is `null` if no wait would help. For concurrent requests both are `null`.
 */
export class RateLimitExceededException extends HttpException {
  /** The body for clients, on every transport. */
  readonly body: RefusalBody;

  /** @param toResponse converts the body to another HTTP response, for example problem details */
  constructor(
    /** The full decision on the request. */
    readonly decision: Decision,
    message = describeRefusal(decision),
    toResponse: (body: RefusalBody) => object = (body) => body,
  ) {
    const { limit, remaining } = decision.binding;
    const body = {
      statusCode: HttpStatus.TOO_MANY_REQUESTS,
      error: 'Too Many Requests',
      message,
      limit: {
        name: limit.name,
        amount: limit.amount,
        period: limit.strategy === 'concurrency' ? null : windowLength(limit, decision.now) / 1000,
        remaining,
      },
      retryAfter: retryAfterSeconds(decision),
    };
    super(toResponse(body), HttpStatus.TOO_MANY_REQUESTS);
    this.body = body;
    this.message = message;
  }
}

function describeRefusal(decision: Decision): string {
  const { limit } = decision.binding;
  return `Rate limit "${limit.name}" exceeded: ${describeQuota(limit)}. ${adviceOn(decision)}`;
}

/** Formats the quota of a limit: `'10 per minute'`, `'5 at once'`. */
export function describeQuota({
  strategy,
  amount,
  calendar,
  period,
}: Pick<Limit, 'strategy' | 'amount' | 'calendar' | 'period'>): string {
  if (strategy === 'concurrency') return `${amount} at once`;
  return `${amount} per ${calendar === undefined ? describePeriod(period) : describeUnits(calendar)}`;
}

function adviceOn(decision: Decision): string {
  if (decision.retryAfter === undefined) return 'Try again when one of your requests has ended.';
  const wait = retryAfterSeconds(decision);
  return wait === null ? 'Waiting would not help.' : `Try again in ${wait} s.`;
}

function retryAfterSeconds({ retryAfter }: Decision): number | null {
  return retryAfter === undefined || retryAfter === Infinity ? null : Math.ceil(retryAfter / 1000);
}

export const PROBLEM_MEDIA_TYPE = 'application/problem+json';

/**
 * Returns a refusal as problem details: the type `quota-exceeded`, and the names of the limits that
 * refused.
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
