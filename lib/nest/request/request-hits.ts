import { Inject, Injectable } from '@nestjs/common';
import { all, chain, isPromise, type Awaitable } from '../../common/awaitable.js';
import { describeValue, messageOf } from '../../common/describe.js';
import { assertCost } from '../../core/contract.js';
import { limitAt, type Limit } from '../../core/limit.js';
import type { CalendarPosition } from '../../strategies/calendars.js';
import { ClientAddresses } from '../identities/client-addresses.js';
import type { EarlyLookup, IdentifiedRequest, IdentitySource } from '../identities/identity-source.js';
import { LateUserDetector } from '../identities/late-user-detector.js';
import { RATE_LIMIT_OPTIONS } from '../options/rate-limit.tokens.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import { callUserFunction } from '../options/user-functions.js';
import { Warnings } from '../options/warnings.js';
import type { RoutePolicy } from '../routes/route-policy.js';
import type { RouteHandler } from '../transports/transport.js';
import { Plans } from './plans.js';
import { mergeSameCell, type PolicyHit } from './policy-hit.js';

/**
 * A request while it is counted. Caches the values that several policies share, so that each is
 * resolved once.
 */
export interface CountedRequest extends IdentifiedRequest {
  /** Absent before the request has reached a handler. */
  readonly handler: RouteHandler | undefined;
  readonly policies: readonly RoutePolicy[];
  /** The rules that were resolved for the request. */
  readonly ruleSet: object | undefined;
  /** The route, as in a reference to a policy; absent before the request has reached a handler. */
  readonly route: string | undefined;
  /** An object, since a request may have no plan. */
  plan: { readonly resolved: Awaitable<string | null | undefined> } | undefined;
  identities: Map<IdentitySource, Awaitable<string>> | undefined;
}

/** The hits of a request. */
export interface FoundHits {
  readonly hits: readonly PolicyHit[];
  /** The error of the first policy whose function failed, and the place of that policy, while other policies count. */
  readonly failure?: { readonly where: string; readonly error: unknown };
}

/**
 * Resolves the hits of a request: the limits, the identity and the cost of each policy. Synchronous
 * unless a function of the application returns a promise.
 */
@Injectable()
export class RequestHits {
  constructor(
    @Inject(RATE_LIMIT_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(ClientAddresses) private readonly addresses: ClientAddresses,
    @Inject(Plans) private readonly plans: Plans,
    @Inject(LateUserDetector) private readonly lateUsers: LateUserDetector,
    @Inject(Warnings) private readonly warnings: Warnings,
  ) {}

  /**
   * @throws ResolverError if a function of the application throws or returns an invalid value, and
   * no other policy counts the request; its `HttpException` is passed on. A policy in shadow does not count the request instead.
   */
  find(request: CountedRequest): Awaitable<FoundHits> {
    const { skip } = this.options;
    if (skip === undefined) return this.#findAll(request);
    return chain(
      this.#isSkipped('RateLimitModule', () => skip(request.context)),
      (skipped) => (skipped ? { hits: [] } : this.#findAll(request)),
    );
  }

  #findAll(request: CountedRequest): Awaitable<FoundHits> {
    const { policies } = request;
    const [first] = policies;
    if (first === undefined) return { hits: [] };
    if (policies.length === 1) return chain(this.#hitsOn(first, request), (hits) => ({ hits }));
    return chain(all(policies.map((policy) => this.#tryHitsOn(policy, request))), (found) => {
      const hits = mergeSameCell(found.flatMap((one) => one.hits));
      const failure = found.find((one) => one.failure !== undefined)?.failure;
      return failure === undefined ? { hits } : { hits, failure };
    });
  }

  /** Returns the error of a policy, so that the others still count. */
  #tryHitsOn(policy: RoutePolicy, request: CountedRequest): Awaitable<FoundHits> {
    const hits = this.#hitsOn(policy, request);
    return isPromise(hits)
      ? hits.then(
          (found) => ({ hits: found }),
          (error: unknown) => ({ hits: [], failure: { where: policy.where, error } }),
        )
      : { hits };
  }

  /**
   * Calls a function `skip`. If it does not return a boolean, the request counts, and a warning is
   * logged once.
   */
  #isSkipped(where: string, skip: () => unknown): Awaitable<boolean> {
    return chain(callUserFunction(where, 'skip', skip), (skipped) => {
      if (typeof skipped === 'boolean') return skipped;
      this.warnings.once(
        `skip ${where}`,
        `${where}: the function "skip" must return a boolean, so the request counts; got ${describeValue(skipped)}.`,
      );
      return false;
    });
  }

  #hitsOn(policy: RoutePolicy, request: CountedRequest): Awaitable<PolicyHit[]> {
    const hits = this.#countUnlessSkipped(policy, request);
    if (policy.mode === 'enforce' || !isPromise(hits)) return hits;
    return hits.catch((error: unknown) => {
      const { where } = policy;
      this.warnings.once(
        `shadow ${where}`,
        `${where}: a function of this limit in shadow mode failed, so the request does not count: ${messageOf(error)}`,
      );
      return [];
    });
  }

  #countUnlessSkipped(policy: RoutePolicy, request: CountedRequest): Awaitable<PolicyHit[]> {
    const { skip, where } = policy;
    if (skip === undefined) return this.#count(policy, request);
    return chain(
      this.#isSkipped(where, () => skip(request.context)),
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
    const limits = this.#planLimitsOf(policy, request);
    const { calendar } = policy;
    if (calendar === undefined) return limits;
    return chain(limits, (found) =>
      chain(positionFor(policy, calendar, request), (position) =>
        callUserFunction(policy.where, Object.keys(position).join('" or "'), () =>
          found.map((limit) => limitAt(limit, position)),
        ),
      ),
    );
  }

  #planLimitsOf(policy: RoutePolicy, request: CountedRequest): Awaitable<readonly Limit[]> {
    const { plans, limitsFor, limits, where } = policy;
    const { context } = request;
    if (plans !== undefined) {
      request.plan ??= { resolved: this.#planOf(policy, request) };
      return chain(request.plan.resolved, (plan) => {
        const known = this.plans.limitsOf(policy, plan);
        return known === limits && limitsFor
          ? callUserFunction(where, 'limits', () => limitsFor(context))
          : known;
      });
    }
    return limitsFor === undefined ? limits : callUserFunction(where, 'limits', () => limitsFor(context));
  }

  #planOf({ phase, where }: RoutePolicy, request: CountedRequest): ReturnType<Plans['resolve']> {
    const resolve = (): ReturnType<Plans['resolve']> => this.plans.resolve(request.context);
    if (phase === 'afterAuth' || this.options.plan === undefined) return resolve();
    return chain(resolve(), (found) => {
      this.lateUsers.watch(request, { option: 'plan', found, repeat: resolve }, where);
      return found;
    });
  }

  #identityFor({ source, phase, where }: RoutePolicy, request: CountedRequest): Awaitable<string> {
    let identity = request.identities?.get(source);
    if (identity === undefined) {
      const observe =
        phase === 'beforeAuth' && source.mayReadUser
          ? (lookup: EarlyLookup): void => this.lateUsers.watch(request, lookup, where)
          : undefined;
      identity = chain(
        callUserFunction(where, 'key', () => source.resolve(request, observe)),
        (found) => found ?? this.addresses.identityFor(request),
      );
      if (request.policies.length > 1) {
        request.identities ??= new Map();
        request.identities.set(source, identity);
      }
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

/** Returns where the calendar windows of a request lie, as far as functions find it. */
function positionFor(
  { where }: RoutePolicy,
  { timeZone, anchor }: NonNullable<RoutePolicy['calendar']>,
  { context }: CountedRequest,
): Awaitable<CalendarPosition> {
  const found = Object.entries({ timeZone, anchor }).flatMap(([option, find]) =>
    find === undefined
      ? []
      : [
          chain(
            callUserFunction(where, option, () => find(context)),
            (value) => [option, value ?? undefined] as const,
          ),
        ],
  );
  return chain(all(found), (entries) => Object.fromEntries(entries) as CalendarPosition);
}
