import { Inject, Injectable } from '@nestjs/common';
import type { Observable } from 'rxjs';
import type { Awaitable } from '../common/awaitable.js';
import { ConfigurationError } from '../common/errors.js';
import { describeValue } from '../common/describe.js';
import { ItemHits } from '../limiter/item-hits.js';
import { Limiter } from '../limiter/limiter.js';
import { describeDuration } from '../notation/describe-period.js';
import type { LimitInput } from '../notation/limit-input.js';
import { parseDuration } from '../notation/parse-duration.js';
import { RateLimitEvents, type RateLimitEvent } from '../observability/rate-limit-events.js';
import { identityOf } from '../common/identity.js';
import type { DecidingStorage } from '../resilience/resilient-storage.js';
import type { Hit } from '../core/contract.js';
import type { Limit } from '../core/limit.js';
import { single } from './identities/identity-source.js';
import { IdentitySources } from './identities/identity-sources.js';
import { Plans } from './request/plans.js';
import type { RateLimitRule } from './options/rate-limit.options.js';
import { DECIDING_STORAGE, RATE_LIMIT_OPTIONS } from './options/rate-limit.tokens.js';
import type { ResolvedOptions } from './options/resolve-options.js';
import { PolicyDirectory } from './routes/policy-directory.js';
import type { PolicyReference } from './routes/route-policy.js';
import { RouteRules } from './routes/route-rules.js';
import { shownByName } from '../common/inspection.js';

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
@shownByName
export class RateLimiterService extends Limiter<LimitInput | PolicyReference> {
  readonly #items: ItemHits;

  constructor(
    @Inject(RATE_LIMIT_OPTIONS) options: ResolvedOptions,
    @Inject(DECIDING_STORAGE) storage: DecidingStorage,
    @Inject(PolicyDirectory) private readonly policies: PolicyDirectory,
    @Inject(RouteRules) private readonly routeRules: RouteRules,
    @Inject(IdentitySources) private readonly identities: IdentitySources,
    @Inject(Plans) private readonly plans: Plans,
    @Inject(RateLimitEvents) private readonly events: RateLimitEvents,
  ) {
    super(storage);
    this.#items = new ItemHits(storage, options.strategy);
  }

  /** Everything that happens to limits from now on: decisions, refusals, limits nearly used up, a store lost and found. */
  get events$(): Observable<RateLimitEvent> {
    return this.events.events$;
  }

  /** The rules in force, in the order in which they were given. */
  rules(): readonly RateLimitRule[] {
    return this.routeRules.rules;
  }

  /**
   * Replaces all rules at once, from the next request on. What was counted stays where id, window and strategy are the same.
   *
   * @throws ConfigurationError naming the rule that is wrong; then the rules stay as they are
   */
  setRules(rules: readonly RateLimitRule[]): void {
    this.routeRules.set(rules);
  }

  /**
   * Blocks an identity, as a refusal by the policy does.
   *
   * @param identity what the policy's `key` returns; of several parts, all of them
   * @param duration such as `'1 hour'`, at most the longest of the policy's own. Default: the first of those
   * @throws ConfigurationError when the policy has no `block`; RangeError when the duration is too long
   */
  block(
    reference: PolicyReference,
    identity: string | readonly string[],
    duration?: string,
  ): Awaitable<void> {
    return this.storage.block(
      this.#cellsOf(reference, identity).map(({ identity, limit }) => ({
        identity,
        limit,
        duration: blockDuration(limit, reference, duration),
      })),
    );
  }

  /** Lifts the block of an identity. What was counted stays; `clear` forgets that too. */
  unblock(reference: PolicyReference, identity: string | readonly string[]): Awaitable<void> {
    const blocked = this.#cellsOf(reference, identity).filter(({ limit }) => limit.block.length > 0);
    return this.storage.block(blocked.map(({ identity, limit }) => ({ identity, limit, duration: 0 })));
  }

  #cellsOf(reference: PolicyReference, identity: string | readonly string[]): Hit[] {
    return this.#hitsOnPolicy(reference, typeof identity === 'string' ? [identity] : identity, 0);
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
    const policy = this.policies.find(reference);
    const limits = this.plans.limitsOf(policy, reference.plan);
    if (limits.length === 0)
      throw new ConfigurationError(
        policy.limitsFor === undefined
          ? `The policy "${policy.name}" has no limit for the plan "${reference.plan}": nothing is counted.`
          : `The policy "${policy.name}" finds its limits out for each request. By hand, give a limit itself.`,
      );
    const identity =
      reference.as === 'key'
        ? identityOf('key', single(identifiers))
        : (reference.as === undefined
            ? policy.source
            : this.identities.for(reference.as, 'RateLimiterService')
          ).fromValues(identifiers);
    return limits.map((limit) => ({ identity, limit, cost }));
  }
}

function blockDuration({ block }: Limit, { policy }: PolicyReference, text?: string): number {
  const [first] = block;
  if (first === undefined)
    throw new ConfigurationError(
      `The policy "${policy}" blocks nobody. Give it the option block, such as '15 minutes'.`,
    );
  const duration = text === undefined ? first : parseDuration(text);
  if (duration > Math.max(...block))
    throw new RangeError(
      `The policy "${policy}" blocks for ${describeDuration(Math.max(...block))} at most; got ${describeValue(text)}.`,
    );
  return duration;
}

function isReference(limits: LimitInput | PolicyReference): limits is PolicyReference {
  return typeof limits === 'object' && limits !== null && 'policy' in limits;
}
