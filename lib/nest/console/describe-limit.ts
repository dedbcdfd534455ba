import type { Limit } from '../../core/limit.js';
import { describeQuota } from '../transports/rate-limit-exceeded.exception.js';

/** Describes a limit: `'10 per minute'`, `'10 per minute, burst 20'`, `'5 at once'`. */
export function describeLimit(
  limit: Pick<Limit, 'amount' | 'burst' | 'strategy' | 'calendar' | 'period'>,
): string {
  const { amount, burst } = limit;
  return `${describeQuota(limit)}${burst === amount ? '' : `, burst ${burst}`}`;
}
