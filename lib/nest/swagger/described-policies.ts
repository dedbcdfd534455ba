import type { Limit } from '../../core/limit.js';
import type { RoutePolicy } from '../routes/route-policy.js';
import { describeQuota } from '../transports/rate-limit-exceeded.exception.js';

/** A limit in a document. */
export interface DescribedLimit {
  /** The name in header fields and refusals. */
  readonly name: string;
  /** Units allowed per period, or at the same time. */
  readonly amount: number;
  /** Seconds; of a calendar its usual length, such as 30 days for a month; `null` for concurrent requests. */
  readonly period: number | null;
  /** In words: `'100 per minute'`, `'5 at once'`. */
  readonly description: string;
  readonly strategy: string;
  /** Capacity of a token bucket, if it is not the amount. */
  readonly burst?: number;
}

/** Limits that are known, that a function finds for each request, or none. */
export type DescribedLimits = readonly DescribedLimit[] | 'dynamic' | 'unlimited';

/** A policy in the extension `x-rate-limit` of an operation. */
export interface DescribedPolicy {
  readonly policy: string;
  /** The limits of requests without a plan. */
  readonly limits: DescribedLimits;
  readonly plans?: Readonly<Record<string, DescribedLimits>>;
}

/** Describes the policies of a route that may refuse a request. Leaves shadow limits out. */
export function describePolicies(policies: readonly RoutePolicy[]): DescribedPolicy[] {
  return policies
    .filter(({ mode }) => mode === 'enforce')
    .map(describePolicy)
    .filter(mayRefuse);
}

function describePolicy({ name, limits, limitsFor, plans }: RoutePolicy): DescribedPolicy {
  const described = {
    policy: name,
    limits: limitsFor === undefined ? describeLimits(limits) : ('dynamic' as const),
  };
  if (plans === undefined) return described;
  const byPlan = [...plans].map(([plan, ofPlan]) => [plan, describeLimits(ofPlan)]);
  return { ...described, plans: Object.fromEntries(byPlan) as Record<string, DescribedLimits> };
}

function describeLimits(limits: readonly Limit[]): DescribedLimits {
  return limits.length === 0 ? 'unlimited' : limits.map(describeLimit);
}

function describeLimit(limit: Limit): DescribedLimit {
  const { name, amount, burst, period, strategy } = limit;
  return {
    name,
    amount,
    period: strategy === 'concurrency' ? null : period / 1000,
    description: describeQuota(limit),
    strategy,
    ...(burst === amount ? {} : { burst }),
  };
}

function mayRefuse({ limits, plans = {} }: DescribedPolicy): boolean {
  return [limits, ...Object.values(plans)].some((one) => one !== 'unlimited');
}
