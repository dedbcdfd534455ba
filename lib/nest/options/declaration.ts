import { ConfigurationError } from '../../common/errors.js';
import { quote } from '../../common/describe.js';
import { policyOptions } from '../../policies/policy-options.js';
import type { PlanLimits } from '../../policies/policy.js';
import type { RateLimitDeclaration, RateLimitInput, RateLimitOptions } from './rate-limit.options.js';
import { namedThrottlerLimits, throttlerLimits } from './throttler-form.js';
import { METHODS_METADATA } from './rate-limit.tokens.js';

/**
 * Combines limits in any form and their options into a declaration.
 *
 * @param where names the taker of the limits in errors
 * @param instead names the place of its options in errors
 * @throws ConfigurationError if options are given in place of limits by plan
 */
export function declarationOf(
  where: string,
  instead: string,
  limits: RateLimitInput,
  options: RateLimitOptions = {},
): RateLimitDeclaration {
  const ofThrottler = throttlerLimits(limits) ?? namedThrottlerLimits(limits);
  if (ofThrottler !== undefined)
    throw new ConfigurationError(
      `${where} was given limits in the form of @nestjs/throttler. Write them as text: ${ofThrottler}.`,
    );
  if (!isPlans(limits)) return { ...options, limits };
  const option = Object.keys(limits).find((plan) => Object.hasOwn(policyOptions, plan));
  if (option !== undefined)
    throw new ConfigurationError(
      `${where} takes an object of limits by plan, and ${quote(option)} is an option. Options go ${instead}; ` +
        'a plan of that name goes into the option "plans".',
    );
  return { ...options, plans: { ...limits, ...options.plans } };
}

/** Returns true for a plain object, which is neither a text nor an item nor a list of items. */
function isPlans(limits: RateLimitInput): limits is PlanLimits {
  return (
    typeof limits === 'object' &&
    limits !== null &&
    [Object.prototype, null].includes(Object.getPrototypeOf(limits) as object | null)
  );
}

/** The arguments of a decorator of a class or of a method. */
export type Decorated = [target: object, property?: string | symbol, descriptor?: PropertyDescriptor];

/** Returns the object that holds the metadata: the class, or the function of the method. */
function targetOf([target, , descriptor]: Decorated): object {
  return descriptor === undefined ? target : (descriptor.value as object);
}

/** A method with a declaration. */
export interface DecoratedMethod {
  readonly property: string | symbol;
  /** Its function when it was decorated, which decorators above may replace. */
  readonly handler: object;
}

/** Sets the metadata of a class or a method, and records the method for the check at the start. */
export function declareOn(key: string, value: unknown, decorated: Decorated): void {
  const handler = targetOf(decorated);
  Reflect.defineMetadata(key, value, handler);
  const [target, property, descriptor] = decorated;
  if (descriptor === undefined || property === undefined) return;
  const others = (Reflect.getOwnMetadata(METHODS_METADATA, target) ?? []) as readonly DecoratedMethod[];
  Reflect.defineMetadata(METHODS_METADATA, [...others, { property, handler }], target);
}

/**
 * Returns the metadata that other decorators have set. Includes inherited metadata of a method, since a decorator that wraps the
 * method lets its function inherit from the original. Excludes inherited metadata of a class, which belongs to its base.
 */
export function declaredOn(key: string, [target, , descriptor]: Decorated): unknown {
  return descriptor === undefined
    ? Reflect.getOwnMetadata(key, target)
    : Reflect.getMetadata(key, descriptor.value as object);
}
