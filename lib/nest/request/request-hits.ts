import { Inject, Injectable, type ExecutionContext } from '@nestjs/common';
import { all, chain, type Awaitable } from '../../common/awaitable.js';
import { assertCost } from '../../common/cost.js';
import type { Limit } from '../../storages/limit.js';
import { askApplication } from '../ask-application.js';
import { ClientAddresses } from '../identities/client-addresses.js';
import type { IdentifiedRequest, Identity } from '../identities/identity.js';
import { LateUserDetector } from '../identities/late-user-detector.js';
import { Plans } from './plans.js';
import { onePerCell, type PolicyHit } from './policy-hit.js';
import type { RoutePolicy } from '../routes/route-policy.js';
import { RATE_LIMIT_OPTIONS } from '../rate-limit.tokens.js';
import type { ResolvedOptions } from '../resolve-options.js';
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
    @Inject(LateUserDetector) readonly lateUsers: LateUserDetector,
  ) {}

  /**
   * @param address the client's, if it is known already
   * @throws ResolverError when a function of the application throws or returns something unusable; an `HttpException` that
   * one throws is passed on
   */
  of(
    policies: readonly RoutePolicy[],
    context: ExecutionContext,
    transport: Transport,
    address?: string,
  ): Awaitable<PolicyHit[]> {
    const { skip } = this.options;
    const request = new CountedRequest(this, context, transport, address);
    if (skip === undefined) return request.hitsOnAll(policies);
    return chain(
      askApplication('RateLimitModule', 'skip', () => skip(context)),
      (skipped) => (skipped ? [] : request.hitsOnAll(policies)),
    );
  }
}

/** One request, while it is found out what it hits: everything that several policies want to know is asked for once. */
class CountedRequest implements IdentifiedRequest {
  #addressBucket: Awaitable<string> | undefined;
  #plan: { readonly found: Awaitable<string | null | undefined> } | undefined;
  #buckets: Map<Identity, Awaitable<string>> | undefined;

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
    return chain(all(policies.map((policy) => this.#hitsOn(policy))), (hits) => onePerCell(hits.flat()));
  }

  addressBucket(): Awaitable<string> {
    this.#addressBucket ??= chain(
      this.address ?? this.hits.addresses.of(this.context, this.transport),
      (address) => this.hits.addresses.bucketOf(address, this.context),
    );
    return this.#addressBucket;
  }

  #hitsOn(policy: RoutePolicy): Awaitable<PolicyHit[]> {
    const { skip, where } = policy;
    if (skip === undefined) return this.#count(policy);
    return chain(
      askApplication(where, 'skip', () => skip(this.context)),
      (skipped) => (skipped ? [] : this.#count(policy)),
    );
  }

  #count(policy: RoutePolicy): Awaitable<PolicyHit[]> {
    return chain(this.#limitsOf(policy), (limits) =>
      limits.length === 0
        ? []
        : chain(this.#bucketOf(policy), (bucket) =>
            chain(this.#costOf(policy), (cost) => limits.map((limit) => ({ bucket, limit, cost, policy }))),
          ),
    );
  }

  #limitsOf(policy: RoutePolicy): Awaitable<readonly Limit[]> {
    const { plans, limitsFor, limits, where } = policy;
    if (plans !== undefined) {
      this.#plan ??= { found: this.hits.plans.of(this.context) };
      return chain(this.#plan.found, (plan) => {
        const known = this.hits.plans.limitsOf(policy, plan);
        return known === limits && limitsFor
          ? askApplication(where, 'limits', () => limitsFor(this.context))
          : known;
      });
    }
    return limitsFor === undefined ? limits : askApplication(where, 'limits', () => limitsFor(this.context));
  }

  #bucketOf({ identity, phase, where }: RoutePolicy): Awaitable<string> {
    let bucket = this.#buckets?.get(identity);
    if (bucket === undefined) {
      if (phase === 'beforeAuth' && identity.isOfUser) this.hits.lateUsers.watch(this, where);
      bucket = chain(
        askApplication(where, 'key', () => identity.bucketOf(this)),
        (found) => found ?? this.addressBucket(),
      );
      this.#buckets ??= new Map();
      this.#buckets.set(identity, bucket);
    }
    return bucket;
  }

  #costOf({ cost, where }: RoutePolicy): Awaitable<number> {
    if (typeof cost === 'number') return cost;
    return chain(
      askApplication(where, 'cost', () => cost(this.context)),
      (units) =>
        askApplication(where, 'cost', () => {
          assertCost(units);
          return units;
        }),
    );
  }
}
