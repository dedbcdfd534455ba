import type { ExecutionContext } from '@nestjs/common';
import type { GivenLimits } from '../../policies/given-limits.js';
import type { Policy } from '../../policies/policy.js';
import type { IdentitySource } from '../identities/identity-source.js';
import type { BuiltInKey } from '../options/rate-limit-key.js';

/** A policy of a route with its identity source. */
export interface RoutePolicy extends Omit<Policy<ExecutionContext, unknown>, 'key'> {
  readonly source: IdentitySource;
  /** Equal for policies that count a request in the same way, also in another copy of this library: it then counts once. */
  readonly fingerprint: string;
}

/** A handler and its policies. */
export interface CompiledRoute {
  readonly id: string;
  /** The id as in a {@link PolicyReference}: without `http`. */
  readonly name: string;
  readonly policies: readonly RoutePolicy[];
  /** The policies that count before authentication. */
  readonly beforeAuth: readonly RoutePolicy[];
  /** The policies of rules that do not apply to the route: all, or by name. */
  readonly skips: 'all' | ReadonlySet<string>;
}

/** A reference to a policy by name, for {@link RateLimiterService}. */
export interface PolicyReference {
  /** Name of the policy, as given to `@RateLimit`; `'default'` for one without a name. */
  policy: string;
  /** The route, for example `'POST /login'`. Required if several routes have separate policies of this name. */
  route?: string | undefined;
  /**
   * The kind of the identity, if the policy counts several: `'ip'` for requests that were counted by address because they had no
   * other identity. `'identity'` for one as decisions and events show it, `'user:42'`, or hashed, `'api-key#:…'`. Default: the kind
   * of the policy's key.
   */
  as?: BuiltInKey | 'key' | 'identity' | undefined;
  /** The plan whose limits apply. Default: the limits of requests without a plan. */
  plan?: string | undefined;
  /**
   * The limits that the policy's function returns for the identity, for example `'3/hour'`. Required if the policy has
   * such a function, unless `plan` has its own limits. May have options, as those of the function. Counts differ by period,
   * not by amount.
   */
  limits?: GivenLimits | undefined;
  /** The time zone of the policy's calendar windows. Required if a function finds it. Default: the policy's. */
  timeZone?: string | undefined;
  /** The anchor of the policy's calendar windows. Required if a function finds it. Default: the policy's. */
  anchor?: string | undefined;
}
