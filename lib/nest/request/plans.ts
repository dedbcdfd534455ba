import { Inject, Injectable, type ExecutionContext, type OnApplicationBootstrap } from '@nestjs/common';
import { chain, type Awaitable } from '../../common/awaitable.js';
import { describeValue, quote } from '../../common/describe.js';
import { ResolverError } from '../../common/errors.js';
import type { Limit } from '../../core/limit.js';
import { callUserFunction, InjectedFunctions } from '../options/user-functions.js';
import type { RoutePolicy } from '../routes/route-policy.js';
import type { PlanFunction } from '../options/rate-limit.options.js';
import { RATE_LIMIT_OPTIONS } from '../options/rate-limit.tokens.js';
import { Warnings } from '../options/warnings.js';
import type { ResolvedOptions } from '../options/resolve-options.js';

/** Resolves the plan of a request, and the limits of a plan. */
@Injectable()
export class Plans implements OnApplicationBootstrap {
  #resolve: PlanFunction | undefined;

  constructor(
    @Inject(RATE_LIMIT_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(InjectedFunctions) private readonly functions: InjectedFunctions,
    @Inject(Warnings) private readonly warnings: Warnings,
  ) {}

  onApplicationBootstrap(): void {
    this.resolver();
  }

  /** Resolves the plan of a request. */
  resolve(context: ExecutionContext): Awaitable<string | null | undefined> {
    return callUserFunction('RateLimitModule', 'plan', () => chain(this.resolver()(context), givenPlan));
  }

  /**
   * @throws ConfigurationError if the option `plan` is a class that is not a provider, or not a
   * singleton
   */
  resolver(): PlanFunction {
    const { plan } = this.options;
    this.#resolve ??=
      plan === undefined
        ? () => undefined
        : this.functions.get<PlanFunction>(plan, 'RateLimitModule', 'plan', 'PlanResolver');
    return this.#resolve;
  }

  /**
   * Returns the limits of a policy for a plan. For an unknown plan, warns and returns the default
   * limits.
   */
  limitsOf(policy: RoutePolicy, plan: string | null | undefined): readonly Limit[] {
    if (policy.plans === undefined || plan === undefined || plan === null) return policy.limits;
    const limits = policy.plans.get(plan);
    if (limits === undefined) this.#warnOf(plan, policy.where, policy.plans);
    return limits ?? policy.limits;
  }

  #warnOf(plan: string, where: string, plans: NonNullable<RoutePolicy['plans']>): void {
    if (this.warnings.has(`plan ${where}`)) return;
    const known = [...plans.keys()].join(', ');
    this.warnings.once(
      `plan ${where}`,
      `${where}: there are no limits for the plan ${quote(plan)}, so the default ones hold. Plans: ${known}.`,
    );
  }
}

function givenPlan(plan: string | null | undefined): string | null | undefined {
  if (plan === undefined || plan === null || typeof plan === 'string') return plan;
  throw new ResolverError(
    `RateLimitModule: the function "plan" must return a string; got ${describeValue(plan)}.`,
  );
}
