import { Inject, Injectable, type ExecutionContext } from '@nestjs/common';
import { all, chain, isPromise, type Awaitable } from '../../common/awaitable.js';
import { describeValue } from '../../common/describe.js';
import { assertCost } from '../../core/contract.js';
import type { Limit } from '../../core/limit.js';
import { callUserFunction } from '../options/user-functions.js';
import { ClientAddresses } from '../identities/client-addresses.js';
import type { IdentifiedRequest, IdentitySource } from '../identities/identity-source.js';
import { LateUserDetector } from '../identities/late-user-detector.js';
import { Plans } from './plans.js';
import { mergeSameCell, type PolicyHit } from './policy-hit.js';
import type { RoutePolicy } from '../routes/route-policy.js';
import { RATE_LIMIT_OPTIONS } from '../options/rate-limit.tokens.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import { Warnings } from '../options/warnings.js';
import type { Transport } from '../transports/transport.js';

/** The hits of a request. */
export interface FoundHits {
  readonly hits: readonly PolicyHit[];
  /** The error of the first policy whose function failed, while others count; `undefined` for none. */
  readonly failure?: unknown;
}

/**
 * Resolves the hits of a request: the policies that count it, their identities and costs. Stays synchronous while the
 * application's functions do.
 */
@Injectable()
export class RequestHits {
  constructor(
    @Inject(RATE_LIMIT_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(ClientAddresses) readonly addresses: ClientAddresses,
    @Inject(Plans) readonly plans: Plans,
    @Inject(LateUserDetector) readonly lateUsers: LateUserDetector,
    @Inject(Warnings) private readonly warnings: Warnings,
  ) {}

  /**
   * @param address the client's, if it is known already
   * @throws ResolverError if a function of the application throws or returns an invalid value, and no other policy counts the
   * request; an `HttpException` that it throws is passed on
   */
  find(
    policies: readonly RoutePolicy[],
    context: ExecutionContext,
    transport: Transport,
    address?: string,
  ): Awaitable<FoundHits> {
    const { skip } = this.options;
    const request = new CountedRequest(this, context, transport, address);
    if (skip === undefined) return request.hitsOnAll(policies);
    return chain(
      this.isSkipped('RateLimitModule', () => skip(context)),
      (skipped) => (skipped ? { hits: [] } : request.hitsOnAll(policies)),
    );
  }

  /** Returns whether a function `skip` says so. Any value but a boolean counts the request, and is logged once. */
  isSkipped(where: string, skip: () => unknown): Awaitable<boolean> {
    return chain(callUserFunction(where, 'skip', skip), (answer) => {
      if (typeof answer === 'boolean') return answer;
      this.warnings.once(
        `skip ${where}`,
        `${where}: the function "skip" must return a boolean, so the request counts; got ${describeValue(answer)}.`,
      );
      return false;
    });
  }

  /** The plan of a request, and whether the function that finds it was called too early. */
  planOf(request: IdentifiedRequest, { phase, where }: RoutePolicy): ReturnType<Plans['resolve']> {
    const resolve = (): ReturnType<Plans['resolve']> => this.plans.resolve(request.context);
    return phase === 'afterAuth' || this.options.plan === undefined
      ? resolve()
      : chain(resolve(), (found) => {
          this.lateUsers.watch(request, { option: 'plan', found, repeat: resolve }, where);
          return found;
        });
  }
}

/** One request while its hits are resolved: values that several policies need are resolved once. */
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

  hitsOnAll(policies: readonly RoutePolicy[]): Awaitable<FoundHits> {
    const [first] = policies;
    if (first === undefined) return { hits: [] };
    if (policies.length === 1) return chain(this.#hitsOn(first), (hits) => ({ hits }));
    return chain(all(policies.map((policy) => this.#tryHitsOn(policy))), (found) => {
      const hits = mergeSameCell(found.flatMap((one) => one.hits));
      const failed = found.find((one) => 'failure' in one);
      return failed === undefined ? { hits } : { hits, failure: failed.failure };
    });
  }

  /** Keeps the failure of one policy from the others. */
  #tryHitsOn(policy: RoutePolicy): Awaitable<FoundHits> {
    const hits = this.#hitsOn(policy);
    return isPromise(hits)
      ? hits.then(
          (found) => ({ hits: found }),
          (failure: unknown) => ({ hits: [], failure }),
        )
      : { hits };
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
      this.hits.isSkipped(where, () => skip(this.context)),
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
      this.#plan ??= { found: this.hits.planOf(this, policy) };
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
      const request = phase === 'beforeAuth' && source.mayReadUser ? this.#watched(where) : this;
      identity = chain(
        callUserFunction(where, 'key', () => source.resolve(request)),
        (found) => found ?? this.addressIdentity(),
      );
      this.#identities ??= new Map();
      this.#identities.set(source, identity);
    }
    return identity;
  }

  /** This request, with its look-ups checked again at its end. */
  #watched(where: string): IdentifiedRequest {
    const { context, transport } = this;
    return {
      context,
      transport,
      addressIdentity: () => this.addressIdentity(),
      lookedUp: (lookup) => this.hits.lateUsers.watch(this, lookup, where),
    };
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
