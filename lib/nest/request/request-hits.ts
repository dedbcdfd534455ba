import { Inject, Injectable, type ExecutionContext } from '@nestjs/common';
import { all, chain, type Awaitable } from '../../common/awaitable.js';
import { assertCost } from '../../core/contract.js';
import type { Limit } from '../../core/limit.js';
import { callUserFunction } from '../options/user-functions.js';
import { ClientAddresses } from '../identities/client-addresses.js';
import type { IdentifiedRequest, IdentitySource } from '../identities/identity-source.js';
import { IdentityWarnings } from '../identities/identity-warnings.js';
import { Plans } from './plans.js';
import { mergeSameCell, type PolicyHit } from './policy-hit.js';
import type { RoutePolicy } from '../routes/route-policy.js';
import { RATE_LIMIT_OPTIONS } from '../options/rate-limit.tokens.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import type { Transport } from '../transports/transport.js';

/**
 * Finds out what a request hits: which of its route's policies count it, for whom, and at what cost. Stays synchronous while
 * the application's functions do.
 */
@Injectable()
export class RequestHits {
  constructor(
    @Inject(RATE_LIMIT_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(ClientAddresses) readonly addresses: ClientAddresses,
    @Inject(Plans) readonly plans: Plans,
    @Inject(IdentityWarnings) readonly identityWarnings: IdentityWarnings,
  ) {}

  /**
   * @param address the client's, if it is known already
   * @throws ResolverError when a function of the application throws or returns something unusable; an `HttpException` that
   * one throws is passed on
   */
  find(
    policies: readonly RoutePolicy[],
    context: ExecutionContext,
    transport: Transport,
    address?: string,
  ): Awaitable<PolicyHit[]> {
    const { skip } = this.options;
    const request = new CountedRequest(this, context, transport, address);
    if (skip === undefined) return request.hitsOnAll(policies);
    return chain(
      callUserFunction('RateLimitModule', 'skip', () => skip(context)),
      (skipped) => (skipped ? [] : request.hitsOnAll(policies)),
    );
  }
}

/** One request, while it is found out what it hits: everything that several policies want to know is asked for once. */
class CountedRequest implements IdentifiedRequest {
  #addressIdentity: Awaitable<string> | undefined;
  #plan: { readonly found: Awaitable<string | null | undefined> } | undefined;
  #identities: Map<IdentitySource, Awaitable<string>> | undefined;

  constructor(
    private readonly hits: RequestHits,
    readonly context: ExecutionContext,
    readonly transport: Transport,
    private readonly address?: string,
  ) {}

  hitsOnAll(policies: readonly RoutePolicy[]): Awaitable<PolicyHit[]> {
    const [first] = policies;
    if (first === undefined) return [];
    if (policies.length === 1) return this.#hitsOn(first);
    return chain(all(policies.map((policy) => this.#hitsOn(policy))), (hits) => mergeSameCell(hits.flat()));
  }

  addressIdentity(): Awaitable<string> {
    this.#addressIdentity ??= chain(
      this.address ?? this.hits.addresses.resolve(this.context, this.transport),
      (address) => this.hits.addresses.identityFor(address, this.context),
    );
    return this.#addressIdentity;
  }

  #hitsOn(policy: RoutePolicy): Awaitable<PolicyHit[]> {
    const { skip, where } = policy;
    if (skip === undefined) return this.#count(policy);
    return chain(
      callUserFunction(where, 'skip', () => skip(this.context)),
      (skipped) => (skipped ? [] : this.#count(policy)),
    );
  }

  #count(policy: RoutePolicy): Awaitable<PolicyHit[]> {
    return chain(this.#limitsOf(policy), (limits) =>
      limits.length === 0
        ? []
        : chain(this.#identityFor(policy), (identity) =>
            chain(this.#costOf(policy), (cost) => limits.map((limit) => ({ identity, limit, cost, policy }))),
          ),
    );
  }

  #limitsOf(policy: RoutePolicy): Awaitable<readonly Limit[]> {
    const { plans, limitsFor, limits, where } = policy;
    if (plans !== undefined) {
      this.#plan ??= { found: this.hits.plans.resolve(this.context) };
      return chain(this.#plan.found, (plan) => {
        const known = this.hits.plans.limitsOf(policy, plan);
        return known === limits && limitsFor
          ? callUserFunction(where, 'limits', () => limitsFor(this.context))
          : known;
      });
    }
    return limitsFor === undefined
      ? limits
      : callUserFunction(where, 'limits', () => limitsFor(this.context));
  }

  #identityFor({ source, phase, where }: RoutePolicy): Awaitable<string> {
    let identity = this.#identities?.get(source);
    if (identity === undefined) {
      if (phase === 'beforeAuth' && source.isOfUser) this.hits.identityWarnings.watchUser(this, where);
      identity = chain(
        callUserFunction(where, 'key', () => source.resolve(this)),
        (found) => found ?? this.addressIdentity(),
      );
      this.#identities ??= new Map();
      this.#identities.set(source, identity);
    }
    return identity;
  }

  #costOf({ cost, where }: RoutePolicy): Awaitable<number> {
    if (typeof cost === 'number') return cost;
    return chain(
      callUserFunction(where, 'cost', () => cost(this.context)),
      (units) =>
        callUserFunction(where, 'cost', () => {
          assertCost(units);
          return units;
        }),
    );
  }
}
