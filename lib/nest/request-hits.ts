import { HttpException, Inject, Injectable, Logger, type ExecutionContext } from '@nestjs/common';
import { all, chain, isPromise, type Awaitable } from '../common/awaitable.js';
import { assertCost } from '../common/cost.js';
import { messageOf, ResolverError } from '../common/errors.js';
import { describeValue } from '../common/identifier.js';
import { clientNetwork } from '../http/client-address.js';
import { bucketOf } from '../policies/identity.js';
import type { KeyFunction } from '../policies/policy.js';
import type { Hit } from '../storages/contract.js';
import { RATE_LIMIT_OPTIONS } from './rate-limit.tokens.js';
import type { ResolvedOptions } from './resolve-options.js';
import type { RoutePolicy } from './policy-directory.js';

/**
 * Finds out what a request hits: which of its route's policies count it, for whom, and at what cost. Stays synchronous while
 * the application's functions do.
 */
@Injectable()
export class RequestHits {
  readonly #logger = new Logger('RateLimit');
  #warnedOfMissingAddress = false;

  constructor(@Inject(RATE_LIMIT_OPTIONS) private readonly options: ResolvedOptions) {}

  /**
   * @throws ResolverError when a function of the application throws or returns something unusable; an `HttpException` that
   * one throws is passed on
   */
  of(policies: readonly RoutePolicy[], context: ExecutionContext): Awaitable<Hit[]> {
    const { skip } = this.options;
    if (skip === undefined) return this.#collect(policies, context);
    return chain(
      ask('RateLimitModule', 'skip', () => skip(context)),
      (skipped) => (skipped ? [] : this.#collect(policies, context)),
    );
  }

  #collect(policies: readonly RoutePolicy[], context: ExecutionContext): Awaitable<Hit[]> {
    const buckets = new Map<KeyFunction<ExecutionContext> | undefined, Awaitable<string>>();
    const bucketFor = (policy: RoutePolicy): Awaitable<string> => {
      let bucket = buckets.get(policy.key);
      if (bucket === undefined) {
        bucket = this.#bucketOf(policy, context);
        buckets.set(policy.key, bucket);
      }
      return bucket;
    };
    const [first, ...others] = policies.map((policy) => hitsOn(policy, context, bucketFor));
    return first === undefined
      ? []
      : others.length === 0
        ? first
        : chain(all([first, ...others]), (hits) => hits.flat());
  }

  #bucketOf({ key, where }: RoutePolicy, context: ExecutionContext): Awaitable<string> {
    if (key === undefined) return this.#addressBucket(context);
    return chain(
      ask(where, 'key', () => key(context)),
      (identity) => {
        if (identity === undefined || identity === null || identity === '')
          return this.#addressBucket(context);
        if (typeof identity !== 'string') {
          return Promise.reject(
            new ResolverError(
              `${where}: the function "key" must return a string; got ${describeValue(identity)}. Convert it, for example with String(id).`,
            ),
          );
        }
        return bucketOf('key', identity);
      },
    );
  }

  #addressBucket(context: ExecutionContext): string {
    const { ip } = context.switchToHttp().getRequest<{ ip?: unknown }>();
    if (typeof ip === 'string') return bucketOf('ip', clientNetwork(ip));
    if (!this.#warnedOfMissingAddress) {
      this.#warnedOfMissingAddress = true;
      this.#logger.warn(
        'A request has no client address (request.ip): all such requests share one count. Behind a proxy on a unix socket, ' +
          "set the adapter's trust proxy, or give a key.",
      );
    }
    return bucketOf('ip', 'unknown');
  }
}

function hitsOn(
  policy: RoutePolicy,
  context: ExecutionContext,
  bucketFor: (policy: RoutePolicy) => Awaitable<string>,
): Awaitable<Hit[]> {
  const { skip, where } = policy;
  const count = (): Awaitable<Hit[]> =>
    chain(bucketFor(policy), (bucket) =>
      chain(costOf(policy, context), (cost) => policy.limits.map((limit) => ({ bucket, limit, cost }))),
    );
  return skip === undefined
    ? count()
    : chain(
        ask(where, 'skip', () => skip(context)),
        (skipped) => (skipped ? [] : count()),
      );
}

function costOf({ cost, where }: RoutePolicy, context: ExecutionContext): Awaitable<number> {
  if (typeof cost === 'number') return cost;
  return chain(
    ask(where, 'cost', () => cost(context)),
    (units) =>
      ask(where, 'cost', () => {
        assertCost(units);
        return units;
      }),
  );
}

/**
 * Calls a function of the application so that what it throws says which function of which route that was. The failure is
 * always a rejection, never thrown at once: what the functions of other policies have begun is awaited all the same.
 */
function ask<T>(where: string, option: string, call: () => Awaitable<T>): Awaitable<T> {
  const fail = (cause: unknown): Promise<never> =>
    Promise.reject(
      cause instanceof HttpException
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
