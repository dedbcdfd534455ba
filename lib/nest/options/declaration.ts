import { ConfigurationError } from '../../common/errors.js';
import { quote } from '../../common/describe.js';
import { policyOptions } from '../../policies/policy-options.js';
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
  const option = Object.keys(limits).find((plan) => Object.hasOwn(policyOptions, plan));
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

/** What TypeScript hands to a decorator of a class, or of a method. */
export type Decorated = [target: object, property?: string | symbol, descriptor?: PropertyDescriptor];

/** Where the metadata of a decorated class or method is kept: on the class, or on the function itself. */
export function targetOf([target, , descriptor]: Decorated): object {
  return descriptor === undefined ? target : (descriptor.value as object);
}

/**
 * What is already declared on it. A decorator that wraps a method leaves the original's metadata to be inherited, so for a
 * method that counts; what a class inherits is its base's.
 */
export function declaredOn(key: string, [target, , descriptor]: Decorated): unknown {
  return descriptor === undefined
    ? Reflect.getOwnMetadata(key, target)
    : Reflect.getMetadata(key, descriptor.value as object);
}
