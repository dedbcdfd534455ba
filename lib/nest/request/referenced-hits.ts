import { Inject, Injectable } from '@nestjs/common';
import { ConfigurationError } from '../../common/errors.js';
import { limitAt, type Limit } from '../../core/limit.js';
import { identityOf } from '../../common/identity.js';
import type { Hit } from '../../core/contract.js';
import { single } from '../identities/identity-source.js';
import { IdentitySources } from '../identities/identity-sources.js';
import { PolicyDirectory } from '../routes/policy-directory.js';
import { RoutePolicies } from '../routes/route-policies.js';
import type { PolicyReference, RoutePolicy } from '../routes/route-policy.js';
import { RouteRules } from '../routes/route-rules.js';
import { Plans } from './plans.js';

/** Resolves the hits on a policy that is given by name, without a request. */
@Injectable()
export class ReferencedHits {
  constructor(
    @Inject(PolicyDirectory) private readonly policies: PolicyDirectory,
    @Inject(RoutePolicies) private readonly routes: RoutePolicies,
    @Inject(RouteRules) private readonly rules: RouteRules,
    @Inject(IdentitySources) private readonly identities: IdentitySources,
    @Inject(Plans) private readonly plans: Plans,
  ) {}

  /**
   * @param identifiers the values of the policy's `key`, one per part
   * @throws ConfigurationError if no policy has the name, several have it, or it has no limits for
   * the reference; RateLimitParseError for malformed limits
   */
  hitsOf(reference: PolicyReference, identifiers: readonly string[], cost: number): Hit[] {
    const policy = this.#find(reference);
    const limits = this.#limitsOf(policy, reference);
    assertPosition(policy, limits, reference);
    const identity = this.#identityFor(policy, reference, identifiers);
    return limits.map((limit) => ({ identity, limit: limitAt(limit, reference), cost }));
  }

  /**
   * Returns all limits of a policy: those of requests without a plan, of its plans, and those given.
   *
   * @throws ConfigurationError as {@link hitsOf}
   */
  allLimitsOf(reference: PolicyReference): readonly Limit[] {
    const policy = this.#find(reference);
    const compiled = [policy.limits, ...(policy.plans?.values() ?? [])].flat();
    const isComplete = reference.limits === undefined && compiled.length > 0;
    const limits = isComplete ? compiled : [...compiled, ...this.#limitsOf(policy, reference)];
    return [...new Map(limits.map((limit) => [limit.id, limit])).values()];
  }

  #find(reference: PolicyReference): RoutePolicy {
    this.routes.ensureCompiled();
    this.rules.ensureCompiled();
    return this.policies.find(reference);
  }

  /**
   * Returns the limits of a reference. As in the guard, limits of the plan take precedence over
   * those of the function.
   */
  #limitsOf(policy: RoutePolicy, { limits: given, plan }: PolicyReference): readonly Limit[] {
    const { name, compileLimits } = policy;
    if (given !== undefined && compileLimits === undefined)
      throw new ConfigurationError(
        `The policy "${name}" has limits of its own. Leave out "limits": { policy: '${name}' }.`,
      );
    const isFound = compileLimits !== undefined && (plan === undefined || !policy.plans?.has(plan));
    if (isFound && given === undefined)
      throw new ConfigurationError(
        `The policy "${name}" has a function that returns the limits of each request. By hand, give them beside its name: ` +
          `{ policy: '${name}', limits: '10/minute' }.`,
      );
    const limits = isFound && given !== undefined ? compileLimits(given) : this.plans.limitsOf(policy, plan);
    if (limits.length === 0)
      throw new ConfigurationError(
        isFound
          ? `The limits given for the policy "${name}" are unlimited: nothing is counted.`
          : plan === undefined
            ? `The policy "${name}" is unlimited: nothing is counted.`
            : `The policy "${name}" has no limit for the plan "${plan}": nothing is counted.`,
      );
    return limits;
  }

  #identityFor(policy: RoutePolicy, { as }: PolicyReference, identifiers: readonly string[]): string {
    if (as === 'identity') return single(identifiers);
    if (as === 'key') return identityOf('key', single(identifiers));
    const source = as === undefined ? policy.source : this.identities.for(as, 'RateLimiterService');
    return source.fromValues(identifiers);
  }
}

/** Throws for a position that is missing, or that no limit has. */
function assertPosition(
  { name, calendar }: RoutePolicy,
  limits: readonly Limit[],
  reference: PolicyReference,
): void {
  for (const option of ['timeZone', 'anchor'] as const) {
    const isGiven = reference[option] !== undefined;
    if (!isGiven && calendar?.[option] !== undefined)
      throw new ConfigurationError(
        `The policy "${name}" finds its ${option} out for each request. By hand, give it: { policy: '${name}', ${option} }.`,
      );
    if (isGiven && limits.every((limit) => limit.calendar === undefined))
      throw new ConfigurationError(`The policy "${name}" has no calendar windows, so it has no ${option}.`);
  }
}
