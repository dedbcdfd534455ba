import { Inject, Injectable } from '@nestjs/common';
import { ItemHits } from '../limiter/item-hits.js';
import { Limiter } from '../limiter/limiter.js';
import type { LimitInput } from '../limits/limit-input.js';
import { bucketOf } from '../policies/identity.js';
import type { Hit } from '../storages/contract.js';
import type { Storage } from '../storages/storage.js';
import { theOnly } from './identities/identity.js';
import { IdentityResolvers } from './identities/identity-resolvers.js';
import { Plans } from './plans.js';
import { RATE_LIMIT_OPTIONS, RATE_LIMIT_STORAGE } from './rate-limit.tokens.js';
import type { ResolvedOptions } from './resolve-options.js';
import type { PolicyReference } from './policy-directory.js';
import { RouteRules } from './route-rules.js';

/**
 * Limits by hand: what the guard does for routes, for anything else, and a look at what it has counted.
 *
 * - By limit: `hit('10/minute', 'mails', userId)`, with the module's strategy. Counted apart from all routes.
 * - By policy: `peek({ policy: 'login' }, identity)`, where the identity is what the policy's `key` returns, or the client's
 *   address if it has no key. The same counts as the guard's. `ConfigurationError` when no policy, or more than one, is meant.
 *
 * @example
 * ```ts
 * import { Injectable } from '@nestjs/common';
 * import { RateLimiterService } from 'nestjs-limits';
 *
 * @Injectable()
 * class MailService {
 *   constructor(private readonly limiter: RateLimiterService) {}
 *
 *   async send(userId: string) {
 *     const decision = await this.limiter.consume('20/hour', 'mails', userId);
 *     if (!decision.allowed) throw new Error(`Try again in ${decision.retryAfter} ms.`);
 *   }
 *
 *   forgive(address: string) {
 *     return this.limiter.clear({ policy: 'login' }, address);
 *   }
 * }
 * ```
 */
@Injectable()
export class RateLimiterService extends Limiter<LimitInput | PolicyReference> {
  readonly #items: ItemHits;

  constructor(
    @Inject(RATE_LIMIT_OPTIONS) options: ResolvedOptions,
    @Inject(RATE_LIMIT_STORAGE) storage: Storage,
    @Inject(RouteRules) private readonly routeRules: RouteRules,
    @Inject(IdentityResolvers) private readonly identities: IdentityResolvers,
    @Inject(Plans) private readonly plans: Plans,
  ) {
    super(storage);
    this.#items = new ItemHits(storage, options.strategy);
  }

  protected override hitsOf(
    limits: LimitInput | PolicyReference,
    identifiers: readonly string[],
    cost: number,
  ): Hit[] {
    return isReference(limits)
      ? this.#hitsOnPolicy(limits, identifiers, cost)
      : this.#items.hitsOf(limits, identifiers, cost);
  }

  #hitsOnPolicy(reference: PolicyReference, identifiers: readonly string[], cost: number): Hit[] {
    const policy = this.routeRules.find(reference);
    const limits = this.plans.limitsOf(policy, reference.plan);
    const bucket =
      reference.as === 'key'
        ? bucketOf('key', theOnly(identifiers))
        : (reference.as === undefined
            ? policy.identity
            : this.identities.identityOf(reference.as, 'RateLimiterService')
          ).bucketFor(identifiers);
    return limits.map((limit) => ({ bucket, limit, cost }));
  }
}

function isReference(limits: LimitInput | PolicyReference): limits is PolicyReference {
  return typeof limits === 'object' && limits !== null && 'policy' in limits;
}
