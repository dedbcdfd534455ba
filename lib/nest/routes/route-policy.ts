import type { ExecutionContext } from '@nestjs/common';
import type { Policy } from '../../policies/policy.js';
import type { IdentitySource } from '../identities/identity-source.js';
import type { BuiltInKey } from '../options/rate-limit-key.js';

/** A policy of a route, ready for requests. */
export interface RoutePolicy extends Omit<Policy<ExecutionContext, unknown>, 'key'> {
  readonly source: IdentitySource;
  /** The same for policies that count the same cells of one identity alike, also in another copy of this library. */
  readonly fingerprint: string;
}

/** A handler, and what is declared for it. */
export interface CompiledRoute {
  readonly id: string;
  readonly policies: readonly RoutePolicy[];
  /** Those of the policies that count before authentication. */
  readonly beforeAuth: readonly RoutePolicy[];
  /** Policies of rules that it does without: all, or those of these names. */
  readonly skips: 'all' | ReadonlySet<string>;
}

/** A policy by its name, for the calls of {@link RateLimiterService}. */
export interface PolicyReference {
  /** Name of the policy, as given to `@RateLimit`; `'default'` for one without a name. */
  policy: string;
  /** Which route's, where several routes count a policy of this name apart: `'POST /login'`. */
  route?: string | undefined;
  /**
   * What kind of identity is meant, where requests have several: `'ip'` for those that were counted by their address because
   * they had no other. Default: the kind of the policy's key.
   */
  as?: BuiltInKey | 'key' | undefined;
  /** Whose limits, where the policy has plans. Default: those of whoever has none. */
  plan?: string | undefined;
}
