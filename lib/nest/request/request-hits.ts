import { Inject, Injectable } from '@nestjs/common';
import { all, chain, type Awaitable } from '../../common/awaitable.js';
import { assertCost } from '../../core/contract.js';
import type { Limit } from '../../core/limit.js';
import { ClientAddresses } from '../identities/client-addresses.js';
import type { IdentifiedRequest, IdentitySource } from '../identities/identity-source.js';
import { IdentityWarnings } from '../identities/identity-warnings.js';
import { RATE_LIMIT_OPTIONS } from '../options/rate-limit.tokens.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import { callUserFunction } from '../options/user-functions.js';
import type { RoutePolicy } from '../routes/route-policy.js';
import type { RouteHandler } from '../transports/transport.js';
import { Plans } from './plans.js';
import { mergeSameCell, type PolicyHit } from './policy-hit.js';

/** A request while it is counted. Caches the values that several policies share, so that each is resolved once. */
export interface CountedRequest extends IdentifiedRequest {
  /** Absent before the request has reached a handler. */
  readonly handler: RouteHandler | undefined;
  readonly policies: readonly RoutePolicy[];
  /** Wrapped, since a request may have no plan. */
  plan: { readonly resolved: Awaitable<string | null | undefined> } | undefined;
  identities: Map<IdentitySource, Awaitable<string>> | undefined;
}

/**
 * Resolves the hits of a request: the limits, the identity and the cost of each policy. Synchronous unless a function of the
 * application returns a promise.
 */
@Injectable()
export class RequestHits {
  constructor(
    @Inject(RATE_LIMIT_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(ClientAddresses) private readonly addresses: ClientAddresses,
    @Inject(Plans) private readonly plans: Plans,
    @Inject(IdentityWarnings) private readonly identityWarnings: IdentityWarnings,
  ) {}

  /**
   * @throws ResolverError if a function of the application throws or returns an invalid value; its `HttpException` is passed on
   */
  find(request: CountedRequest): Awaitable<PolicyHit[]> {
    const { skip } = this.options;
    if (skip === undefined) return this.#findAll(request);
    return chain(
      callUserFunction('RateLimitModule', 'skip', () => skip(request.context)),
      (skipped) => (skipped ? [] : this.#findAll(request)),
    );
  }

  #findAll(request: CountedRequest): Awaitable<PolicyHit[]> {
    const { policies } = request;
    const [first] = policies;
    if (first === undefined) return [];
    if (policies.length === 1) return this.#hitsOn(first, request);
    return chain(all(policies.map((policy) => this.#hitsOn(policy, request))), (hits) =>
      mergeSameCell(hits.flat()),
    );
  }

  #hitsOn(policy: RoutePolicy, request: CountedRequest): Awaitable<PolicyHit[]> {
    const { skip, where } = policy;
    if (skip === undefined) return this.#count(policy, request);
    return chain(
      callUserFunction(where, 'skip', () => skip(request.context)),
      (skipped) => (skipped ? [] : this.#count(policy, request)),
    );
  }

  #count(policy: RoutePolicy, request: CountedRequest): Awaitable<PolicyHit[]> {
    return chain(this.#limitsOf(policy, request), (limits) =>
      limits.length === 0
        ? []
        : chain(this.#identityFor(policy, request), (identity) =>
            chain(this.#costOf(policy, request), (cost) =>
              limits.map((limit) => ({ identity, limit, cost, policy })),
            ),
          ),
    );
  }

  #limitsOf(policy: RoutePolicy, request: CountedRequest): Awaitable<readonly Limit[]> {
    const { plans, limitsFor, limits, where } = policy;
    const { context } = request;
    if (plans !== undefined) {
      request.plan ??= { resolved: this.plans.resolve(context) };
      return chain(request.plan.resolved, (plan) => {
        const known = this.plans.limitsOf(policy, plan);
        return known === limits && limitsFor
          ? callUserFunction(where, 'limits', () => limitsFor(context))
          : known;
      });
    }
    return limitsFor === undefined ? limits : callUserFunction(where, 'limits', () => limitsFor(context));
  }

  #identityFor({ source, phase, where }: RoutePolicy, request: CountedRequest): Awaitable<string> {
    let identity = request.identities?.get(source);
    if (identity === undefined) {
      if (phase === 'beforeAuth' && source.isOfUser) this.identityWarnings.watchUser(request, where);
      identity = chain(
        callUserFunction(where, 'key', () => source.resolve(request)),
        (found) => found ?? this.addresses.identityFor(request),
      );
      request.identities ??= new Map();
      request.identities.set(source, identity);
    }
    return identity;
  }

  #costOf({ cost, where }: RoutePolicy, { context }: CountedRequest): Awaitable<number> {
    if (typeof cost === 'number') return cost;
    return chain(
      callUserFunction(where, 'cost', () => cost(context)),
      (units) =>
        callUserFunction(where, 'cost', () => {
          assertCost(units);
          return units;
        }),
    );
  }
}
