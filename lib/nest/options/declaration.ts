import { ConfigurationError } from '../../common/errors.js';
import { quote } from '../../common/describe.js';
import { POLICY_OPTIONS } from '../../policies/policy-options.js';
import type { PlanLimits } from '../../policies/policy.js';
import type { RateLimitDeclaration, RateLimitInput, RateLimitOptions } from './rate-limit.options.js';

/**
 * What limits and their options declare, in whatever form the limits are given.
 *
 * @param where takes the limits
 * @param instead where its options go
 * @throws ConfigurationError when options are given in place of limits by plan
 */
export function declarationOf(
  where: string,
  instead: string,
  limits: RateLimitInput,
  options: RateLimitOptions = {},
): RateLimitDeclaration {
  if (!isPlans(limits)) return { ...options, limits };
  const option = Object.keys(limits).find((plan) => (POLICY_OPTIONS as readonly string[]).includes(plan));
  if (option !== undefined)
    throw new ConfigurationError(
      `${where} takes an object of limits by plan, and ${quote(option)} is an option. Options go ${instead}; ` +
        'a plan of that name goes into the option "plans".',
    );
  return { ...options, plans: { ...limits, ...options.plans } };
}

/** A plain object is neither a text nor an item nor a list of items. */
function isPlans(limits: RateLimitInput): limits is PlanLimits {
  return (
    typeof limits === 'object' &&
    limits !== null &&
    [Object.prototype, null].includes(Object.getPrototypeOf(limits) as object | null)
  );
}
