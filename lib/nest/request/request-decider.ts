import { Inject, Injectable, ServiceUnavailableException, type ExecutionContext } from '@nestjs/common';
import { attempt, chain, isPromise, type Awaitable } from '../../common/awaitable.js';
import { describeValue, messageOf } from '../../common/describe.js';
import { isStorageError, ResolverError } from '../../common/errors.js';
import { refuses, strictest, type BatchResult, type OnError, type Outcome } from '../../core/contract.js';
import { Decision } from '../../core/decision.js';
import type { Limit, LimitWait } from '../../core/limit.js';
import { decideOnce } from '../../core/wrapped.storage.js';
import {
  legacyFields,
  retryAfterFields,
  standardFields,
  type HeaderField,
} from '../../http/header-fields.js';
import { needOf, queueOf, type FairQueue } from '../../limiter/fair-queue.js';
import { slotsTakenBy } from '../../limiter/held-slots.js';
import type { RequestOutcome } from '../../policies/policy.js';
import type { DecidingStorage } from '../../resilience/resilient-storage.js';
import { DECIDING_STORAGE, RATE_LIMIT_OPTIONS } from '../options/rate-limit.tokens.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import { callUserFunction } from '../options/user-functions.js';
import { Warnings } from '../options/warnings.js';
import type { RoutePolicy } from '../routes/route-policy.js';
import {
  problemDetails,
  PROBLEM_MEDIA_TYPE,
  RateLimitExceededException,
} from '../transports/rate-limit-exceeded.exception.js';
import { CallSlots } from '../transports/call-slots.js';
import { clientClosedError } from '../transports/http.transport.js';
import { Transports } from '../transports/transports.js';
import { Refusals } from './refusals.js';
import { policiesOf, type PolicyHit } from './policy-hit.js';
import type { CountedRequest, FoundHits } from './request-hits.js';
import { keepState, stateFor } from './request-state.js';
import { Reservations, reservationsOf } from './reservations.js';

/** `Retry-After` of a request that failed because of the store, in seconds. */
const STORE_RETRY_AFTER_S = 1;

/** The message of `@nestjs/throttler`. */
const THROTTLER_MESSAGE = 'ThrottlerException: Too Many Requests';

/** Consumes the hits of a request, sends header fields, and refuses the request if a limit does. */
@Injectable()
export class RequestDecider {
  readonly #queue: FairQueue;

  constructor(
    @Inject(RATE_LIMIT_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(DECIDING_STORAGE) private readonly storage: DecidingStorage,
    @Inject(Transports) private readonly transports: Transports,
    @Inject(Reservations) private readonly reservations: Reservations,
    @Inject(Warnings) private readonly warnings: Warnings,
    @Inject(Refusals) private readonly refusals: Refusals,
  ) {
    this.#queue = queueOf(storage);
  }

  /**
   * @throws the transport's error if a limit refuses the request, or if the store fails and
   * `onError` is `'deny'`; otherwise the error of a policy's function, after the other policies
   * have counted the request
   */
  decide(request: CountedRequest, found: FoundHits): Awaitable<true> {
    const { hits } = found;
    const mayWait = found.failure === undefined; // a request that fails anyway does not wait
    const answer = (result: BatchResult): Awaitable<true> => this.#answer(request, found, result);
    if (mayWait && this.#queue.hasAhead(hits, waitOf)) return chain(this.#wait(request, hits), answer);
    const result = this.storage.consume(hits, this.#onErrorOf(hits), mayWait ? isWorthWaiting : undefined);
    const decided = isPromise(result) ? result.catch((error: unknown) => this.#fail(request, error)) : result;
    return chain(decided, (first) =>
      mayWait && isWorthWaiting(first) ? chain(this.#wait(request, hits, first), answer) : answer(first),
    );
  }

  /** Waits in a line, which the request leaves when its client goes away. */
  async #wait(
    request: CountedRequest,
    batch: readonly PolicyHit[],
    refusal?: BatchResult,
  ): Promise<BatchResult> {
    const { context, transport } = request;
    const client = new AbortController();
    const leave = (): void => client.abort();
    transport.onAnswer?.(context, leave);
    transport.onOperationEnd?.(context, leave);
    const forget = transport.onDisconnect?.(context, leave);
    const { signal } = client;
    const onError = this.#onErrorOf(batch);
    const waited = decideOnce(this.storage, (storage) => {
      const consume = (): Awaitable<BatchResult> => storage.consume(batch, onError);
      return this.#queue.wait({ batch, storage, consume, waitOf, signal, refusal });
    });
    try {
      return await waited;
    } catch (error) {
      if (error !== signal.reason) return await this.#fail(request, error);
      this.#end(request, { success: false, aborted: true });
      const exception = clientClosedError();
      return await this.refusals.refuse(transport, exception, exception.getResponse() as object, context);
    } finally {
      forget?.();
    }
  }

  #onErrorOf(hits: readonly PolicyHit[]): OnError | undefined {
    const { resilience } = this.options;
    return resilience === false ? undefined : strictestOf(hits, resilience.onError);
  }

  /** Refuses a request that the store could not decide, if its limits deny it then. Rethrows other errors. */
  #fail(request: CountedRequest, error: unknown): Awaitable<never> {
    const { context, transport } = request;
    const { resilience, headers } = this.options;
    this.#end(request, { success: false });
    if (resilience === false || !isStorageError(error)) throw error;
    if (headers.retryAfter)
      this.transports.setFields(context, transport, [['Retry-After', String(STORE_RETRY_AFTER_S)]]);
    const exception = new ServiceUnavailableException('Rate limits cannot be checked at the moment.', {
      cause: error,
    });
    return this.refusals.refuse(transport, exception, exception.getResponse() as object, context);
  }

  #answer(request: CountedRequest, found: FoundHits, result: BatchResult): Awaitable<true> {
    const { hits } = found;
    const { context, transport, handler, policies } = request;
    const holder = transport.stateHolder(context);
    const before = stateFor(holder, handler);
    const decision = new Decision(result, before?.decision, request.route);
    const reserved = reservationsOf(hits, result);
    const counted = policies.map(({ fingerprint }) => fingerprint);
    keepState(holder, {
      handler,
      counted: before === undefined ? counted : [...before.counted, ...counted],
      decision,
      reservations: before === undefined ? reserved : [...before.reservations, ...reserved],
      ruleSet: request.ruleSet,
    });
    this.transports.setFields(context, transport, this.#fieldsOf(decision));
    if (reserved.length > 0) this.reservations.settleOnAnswer(reserved, context, transport);
    const slots = slotsTakenBy(this.storage, result);
    if (slots !== undefined) CallSlots.hold(slots, context, transport);
    const { failure } = found;
    if (result.allowed && failure === undefined) return true;
    this.#end(request, { success: false });
    if (failure !== undefined) {
      if (result.allowed) throw failure.error;
      this.warnings.once(`failure ${failure.where}`, messageOf(failure.error));
    }
    this.refusals.announce(
      hits.filter((_hit, index) => refuses(result.outcomes[index] as Outcome)),
      decision,
      context,
    );
    const { policy } = hits[result.outcomes.indexOf(decision.binding)] ?? {};
    return this.#refuse(request, decision, policy);
  }

  /**
   * Settles and releases what a refused request has taken, in earlier phases too. Does nothing if the end of a response does so:
   * on other transports interceptors do, which do not run after a guard throws.
   */
  #end({ context, transport }: CountedRequest, outcome: RequestOutcome): void {
    if (transport.onAnswer !== undefined) return;
    void this.reservations.settle(context, transport, () => outcome);
    CallSlots.find(context, transport)?.end();
  }

  #fieldsOf(decision: Decision): HeaderField[] {
    const { standard, legacy, retryAfter } = this.options.headers;
    const fields = standard ? standardFields(decision) : [];
    if (legacy !== false) fields.push(...legacyFields(decision, legacy));
    if (retryAfter && !decision.allowed)
      fields.push(...retryAfterFields(decision, legacy !== false && legacy.perLimit === true));
    return fields;
  }

  #refuse(request: CountedRequest, decision: Decision, policy?: RoutePolicy): Awaitable<never> {
    const { errorFactory } = this.options;
    if (errorFactory === undefined) return this.#refuseByDefault(request, decision, policy);
    return chain(
      settled(() => errorFactory(decision, request.context)),
      (made) => {
        if (made instanceof Error) return this.refusals.refuseWith(request.transport, made, request.context);
        this.warnings.once(
          'errorFactory',
          `RateLimitModule: the function "errorFactory" must return an Error, so the default one is thrown; got ${describeValue(made)}.`,
        );
        return this.#refuseByDefault(request, decision, policy);
      },
    );
  }

  #refuseByDefault(
    { context, transport }: CountedRequest,
    decision: Decision,
    policy?: RoutePolicy,
  ): Awaitable<never> {
    const { errorFormat } = this.options;
    const isProblem = errorFormat === 'problem';
    return chain(this.#messageOf(policy, decision, context), (message) => {
      const label = (): void =>
        this.transports.setFields(context, transport, [['Content-Type', PROBLEM_MEDIA_TYPE]]);
      if (isProblem && this.transports.dropsLateFields(context, transport)) label();
      const exception = new RateLimitExceededException(decision, message, (body) => {
        if (isProblem) return calledWhenSent(problemDetails(decision, body.message), label);
        return errorFormat === 'throttler' ? { statusCode: body.statusCode, message: body.message } : body;
      });
      return this.refusals.refuse(transport, exception, exception.body, context);
    });
  }

  #messageOf(
    policy: RoutePolicy | undefined,
    decision: Decision,
    context: ExecutionContext,
  ): Awaitable<string | undefined> {
    const { errorMessage, where = 'RateLimitModule' } =
      policy?.errorMessage === undefined ? { errorMessage: this.options.errorMessage } : policy;
    if (errorMessage === undefined && this.options.errorFormat === 'throttler') return THROTTLER_MESSAGE;
    if (typeof errorMessage !== 'function') return errorMessage;
    return callUserFunction(where, 'errorMessage', () =>
      chain(errorMessage(decision, context), (message) => assertText(where, message)),
    );
  }
}

/**
 * Returns a body that calls back when it is converted to JSON for the response. The response is labelled then and not before, since a
 * filter of the application may send another body, also one that contains this.
 */
function calledWhenSent<Body extends object>(body: Body, call: () => void): Body {
  const toJSON = (property: string): Body => {
    if (property === '') call();
    return { ...body };
  };
  return Object.defineProperty(body, 'toJSON', { value: toJSON });
}

function waitOf({ wait }: Limit): LimitWait | undefined {
  return wait;
}

/** Returns true for a refusal by limits that all have a wait. */
function isWorthWaiting(result: BatchResult): boolean {
  return needOf(result, waitOf) !== undefined;
}

/**
 * Returns the strictest `onError` of the hits' policies; `undefined` for the option of the module. Limits in shadow refuse nothing, so
 * that they do not matter beside others, and without others never deny.
 */
function strictestOf(hits: readonly PolicyHit[], otherwise: OnError): OnError | undefined {
  const isOrdinary = ({ policy, sharedWith, limit }: PolicyHit): boolean =>
    policy.onError === undefined && sharedWith === undefined && limit.mode === 'enforce';
  if (hits.every(isOrdinary)) return undefined;
  const enforced = hits.filter(({ limit }) => limit.mode === 'enforce');
  const deciding = enforced.length > 0 ? enforced : hits;
  const mode = strictest(deciding.flatMap(policiesOf).map(({ onError }) => onError ?? otherwise));
  return enforced.length === 0 && mode === 'deny' ? 'fallback' : mode;
}

/** @throws ResolverError if a function of the application did not return a string */
function assertText(where: string, message: unknown): string {
  if (typeof message === 'string') return message;
  throw new ResolverError(
    `${where}: the function "errorMessage" must return a string; got ${describeValue(message)}.`,
  );
}

/** Returns the value that a function returns or throws, or that its promise settles to. */
function settled(call: () => Awaitable<unknown>): Awaitable<unknown> {
  const made = attempt(call);
  return isPromise(made) ? made.catch((error: unknown) => error) : made;
}
