import { HttpException, Inject, Injectable, type ExecutionContext } from '@nestjs/common';
import { all, chain, isPromise, type Awaitable } from '../common/awaitable.js';
import { assertCost } from '../common/cost.js';
import { messageOf, ResolverError } from '../common/errors.js';
import type { Hit } from '../storages/contract.js';
import type { Limit } from '../storages/limit.js';
import { ClientAddresses } from './identities/client-addresses.js';
import type { IdentifiedRequest, Identity } from './identities/identity.js';
import { LateUserDetector } from './identities/late-user-detector.js';
import { Plans } from './plans.js';
import type { RoutePolicy } from './policy-directory.js';
import { RATE_LIMIT_OPTIONS } from './rate-limit.tokens.js';
import type { ResolvedOptions } from './resolve-options.js';
import type { Transport } from './transports/transport.js';

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
  ): Awaitable<Hit[]> {
    const { skip } = this.options;
    const request = new CountedRequest(this, context, transport, address);
    if (skip === undefined) return request.hitsOnAll(policies);
    return chain(
      ask('RateLimitModule', 'skip', () => skip(context)),
      (skipped) => (skipped ? [] : request.hitsOnAll(policies)),
    );
  }
}

/** One request, while it is found out what it hits: everything that several policies want to know is asked for once. */
class CountedRequest implements IdentifiedRequest {
  #addressBucket: Awaitable<string> | undefined;
  #plan: Awaitable<string | null | undefined> | false = false;
  #buckets: Map<Identity, Awaitable<string>> | undefined;

  constructor(
    private readonly hits: RequestHits,
    readonly context: ExecutionContext,
    readonly transport: Transport,
    private readonly address?: string,
  ) {}

  hitsOnAll(policies: readonly RoutePolicy[]): Awaitable<Hit[]> {
    const [first, ...others] = policies;
    if (first === undefined) return [];
    if (others.length === 0) return this.#hitsOn(first);
    return chain(all(policies.map((policy) => this.#hitsOn(policy))), (hits) => hits.flat());
  }

  addressBucket(): Awaitable<string> {
    this.#addressBucket ??= chain(
      this.address ??
        ask('RateLimitModule', 'clientIp', () => this.hits.addresses.of(this.context, this.transport)),
      (address) => this.hits.addresses.bucketOf(address, this.context),
    );
    return this.#addressBucket;
  }

  #hitsOn(policy: RoutePolicy): Awaitable<Hit[]> {
    const { skip, where } = policy;
    if (skip === undefined) return this.#count(policy);
    return chain(
      ask(where, 'skip', () => skip(this.context)),
      (skipped) => (skipped ? [] : this.#count(policy)),
    );
  }

  #count(policy: RoutePolicy): Awaitable<Hit[]> {
    return chain(this.#limitsOf(policy), (limits) =>
      limits.length === 0
        ? []
        : chain(this.#bucketOf(policy), (bucket) =>
            chain(this.#costOf(policy), (cost) => limits.map((limit) => ({ bucket, limit, cost }))),
          ),
    );
  }

  #limitsOf(policy: RoutePolicy): Awaitable<readonly Limit[]> {
    const { plans, limitsFor, limits, where } = policy;
    if (plans !== undefined) {
      this.#plan ||= ask('RateLimitModule', 'plan', () => this.hits.plans.resolver()(this.context));
      return chain(this.#plan, (plan) => {
        const known = this.hits.plans.limitsOf(policy, plan);
        return known === limits && limitsFor ? ask(where, 'limits', () => limitsFor(this.context)) : known;
      });
    }
    return limitsFor === undefined ? limits : ask(where, 'limits', () => limitsFor(this.context));
  }

  #bucketOf(policy: RoutePolicy): Awaitable<string> {
    const { identity } = policy;
    let bucket = this.#buckets?.get(identity);
    if (bucket === undefined) {
      bucket = chain(
        ask(policy.where, 'key', () => identity.bucketOf(this)),
        (found) => found ?? this.#bucketOfNobody(policy),
      );
      this.#buckets ??= new Map();
      this.#buckets.set(identity, bucket);
    }
    return bucket;
  }

  #bucketOfNobody({ identity, phase, where }: RoutePolicy): Awaitable<string> {
    if (phase === 'beforeAuth' && identity.types.includes('user')) this.hits.lateUsers.watch(this, where);
    return this.addressBucket();
  }

  #costOf({ cost, where }: RoutePolicy): Awaitable<number> {
    if (typeof cost === 'number') return cost;
    return chain(
      ask(where, 'cost', () => cost(this.context)),
      (units) =>
        ask(where, 'cost', () => {
          assertCost(units);
          return units;
        }),
    );
  }
}

/**
 * Calls a function of the application so that what it throws says which function of which route that was. The failure is
 * always a rejection, never thrown at once: what the functions of other policies have begun is awaited all the same.
 */
function ask<T>(where: string, option: string, call: () => Awaitable<T>): Awaitable<T> {
  const fail = (cause: unknown): Promise<never> =>
    Promise.reject(
      cause instanceof HttpException || cause instanceof ResolverError
        ? cause
        : new ResolverError(`${where}: the function "${option}" failed: ${messageOf(cause)}`, { cause }),
    );
  try {
    const answer = call();
    return isPromise(answer) ? Promise.resolve(answer).catch(fail) : answer;
  } catch (cause) {
    return fail(cause);
  }
}
