import { Inject, Injectable, ServiceUnavailableException, type ExecutionContext } from '@nestjs/common';
import { chain, isPromise, type Awaitable } from '../../common/awaitable.js';
import { describeValue } from '../../common/describe.js';
import { isStorageError, ResolverError } from '../../common/errors.js';
import { strictest, type BatchResult, type OnError } from '../../core/contract.js';
import { Decision } from '../../core/decision.js';
import {
  legacyFields,
  retryAfterFields,
  standardFields,
  type HeaderField,
} from '../../http/header-fields.js';
import type { DecidingStorage } from '../../resilience/resilient-storage.js';
import { DECIDING_STORAGE, RATE_LIMIT_OPTIONS } from '../options/rate-limit.tokens.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import { callUserFunction } from '../options/user-functions.js';
import type { RoutePolicy } from '../routes/route-policy.js';
import {
  problemDetails,
  PROBLEM_MEDIA_TYPE,
  RateLimitExceededException,
} from '../transports/rate-limit-exceeded.exception.js';
import { Transports } from '../transports/transports.js';
import { policiesOf, type PolicyHit } from './policy-hit.js';
import type { CountedRequest } from './request-hits.js';
import { keepState, stateFor } from './request-state.js';
import { Reservations, reservationsOf } from './reservations.js';
import { throwRefusal } from './throw-refusal.js';

/** `Retry-After` of a request that fails because the store did, in seconds. */
const STORE_RETRY_AFTER_S = 1;

/** Consumes the hits of a request, sends its header fields, and refuses it if a limit does. */
@Injectable()
export class RequestDecider {
  constructor(
    @Inject(RATE_LIMIT_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(DECIDING_STORAGE) private readonly storage: DecidingStorage,
    @Inject(Transports) private readonly transports: Transports,
    @Inject(Reservations) private readonly reservations: Reservations,
  ) {}

  /** @throws the transport's error if a limit refuses the request, or if the store fails and `onError` is `'deny'` */
  decide(request: CountedRequest, hits: readonly PolicyHit[]): Awaitable<true> {
    return chain(this.#consume(request, hits), (result) => this.#answer(request, hits, result));
  }

  #consume({ context, transport }: CountedRequest, hits: readonly PolicyHit[]): Awaitable<BatchResult> {
    const { resilience, headers } = this.options;
    if (resilience === false) return this.storage.consume(hits);
    const result = this.storage.consume(hits, strictestOf(hits, resilience.onError));
    if (!isPromise(result)) return result;
    return result.catch((error: unknown) => {
      if (!isStorageError(error)) throw error;
      if (headers.retryAfter)
        this.transports.setFields(context, transport, [['Retry-After', String(STORE_RETRY_AFTER_S)]]);
      const exception = new ServiceUnavailableException('Rate limits cannot be checked at the moment.', {
        cause: error,
      });
      return throwRefusal(transport, exception, exception.getResponse() as object, context);
    });
  }

  #answer(request: CountedRequest, hits: readonly PolicyHit[], result: BatchResult): Awaitable<true> {
    const { context, transport, handler, policies } = request;
    const holder = transport.stateHolder(context);
    const before = stateFor(holder, handler);
    const decision = new Decision(result, before?.decision);
    const reserved = reservationsOf(hits, result);
    keepState(holder, {
      handler,
      counted: [...(before?.counted ?? []), ...policies.map(({ fingerprint }) => fingerprint)],
      decision,
      reservations: before === undefined ? reserved : [...before.reservations, ...reserved],
    });
    this.transports.setFields(context, transport, this.#fieldsOf(decision));
    if (reserved.length > 0) this.reservations.settleOnAnswer(reserved, context, transport);
    if (result.allowed) return true;
    // Interceptors do not run for a refused request, so none could settle it.
    if (transport.onAnswer === undefined)
      void this.reservations.settle(context, transport, { success: false });
    const { policy } = hits[result.outcomes.indexOf(decision.binding)] ?? {};
    return this.#refuse(request, decision, policy);
  }

  #fieldsOf(decision: Decision): HeaderField[] {
    const { standard, legacy, retryAfter } = this.options.headers;
    return [
      ...(standard ? standardFields(decision) : []),
      ...(legacy ? legacyFields(decision) : []),
      ...(retryAfter ? retryAfterFields(decision) : []),
    ];
  }

  #refuse(
    { context, transport }: CountedRequest,
    decision: Decision,
    policy?: RoutePolicy,
  ): Awaitable<never> {
    const { errorFactory, errorFormat } = this.options;
    if (errorFactory !== undefined) throw errorFactory(decision, context);
    const isProblem = errorFormat === 'problem';
    return chain(this.#messageOf(policy, decision, context), (message) => {
      const exception = new RateLimitExceededException(decision, message, (body) =>
        isProblem ? problemDetails(decision, body.message) : body,
      );
      if (isProblem) this.transports.setFields(context, transport, [['Content-Type', PROBLEM_MEDIA_TYPE]]);
      return throwRefusal(transport, exception, exception.body, context);
    });
  }

  #messageOf(
    policy: RoutePolicy | undefined,
    decision: Decision,
    context: ExecutionContext,
  ): Awaitable<string | undefined> {
    const { errorMessage, where = 'RateLimitModule' } =
      policy?.errorMessage === undefined ? { errorMessage: this.options.errorMessage } : policy;
    if (typeof errorMessage !== 'function') return errorMessage;
    return callUserFunction(where, 'errorMessage', () => assertText(where, errorMessage(decision, context)));
  }
}

/** Returns the strictest `onError` of the hits' policies; `undefined` if none of them has the option. */
function strictestOf(hits: readonly PolicyHit[], otherwise: OnError): OnError | undefined {
  if (hits.every(({ policy, sharedWith }) => policy.onError === undefined && sharedWith === undefined))
    return undefined;
  const modes = hits.flatMap(policiesOf).map(({ onError }) => onError ?? otherwise);
  return strictest(modes);
}

/** @throws ResolverError if a function of the application returned anything but a string */
function assertText(where: string, message: unknown): string {
  if (typeof message === 'string') return message;
  throw new ResolverError(
    `${where}: the function "errorMessage" must return a string; got ${describeValue(message)}.`,
  );
}
