import { HttpException, HttpStatus } from '@nestjs/common';
import type { Decision } from '../limiter/decision.js';
import { describePeriod } from '../limits/describe-period.js';

/**
 * A request was refused: 429 Too Many Requests. Carries the decision; the body names the limit that refused.
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
 * Periods and `retryAfter` are in seconds; `retryAfter` is `null` when no wait would help.
 */
export class RateLimitExceededException extends HttpException {
  constructor(
    readonly decision: Decision,
    message = describeRefusal(decision),
  ) {
    const { limit, remaining } = decision.binding;
    const body = {
      statusCode: HttpStatus.TOO_MANY_REQUESTS,
      error: 'Too Many Requests',
      message,
      limit: { name: limit.name, amount: limit.amount, period: limit.period / 1000, remaining },
      retryAfter: retryAfterSeconds(decision),
    };
    super(body, HttpStatus.TOO_MANY_REQUESTS);
    this.message = message;
  }
}

function describeRefusal(decision: Decision): string {
  const { name, amount, period } = decision.binding.limit;
  const wait = retryAfterSeconds(decision);
  const advice = wait === null ? 'Waiting would not help.' : `Try again in ${wait} s.`;
  return `Rate limit "${name}" exceeded: ${amount} per ${describePeriod(period)}. ${advice}`;
}

function retryAfterSeconds({ retryAfter }: Decision): number | null {
  return Number.isFinite(retryAfter) ? Math.ceil(retryAfter / 1000) : null;
}
