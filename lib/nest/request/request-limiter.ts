import {
  ForbiddenException,
  Inject,
  Injectable,
  ServiceUnavailableException,
  type ExecutionContext,
} from '@nestjs/common';
import { attempt, chain, isPromise, type Awaitable } from '../../common/awaitable.js';
import { describeValue, messageOf } from '../../common/describe.js';
import { isStorageError, ResolverError } from '../../common/errors.js';
import {
  legacyFields,
  retryAfterFields,
  standardFields,
  type HeaderField,
} from '../../http/header-fields.js';
import {
  problemDetails,
  PROBLEM_MEDIA_TYPE,
  RateLimitExceededException,
} from '../transports/rate-limit-exceeded.exception.js';
import { Decision } from '../../core/decision.js';
import { type BatchResult, strictest, type OnError } from '../../core/contract.js';
import type { DecidingStorage } from '../../resilience/resilient-storage.js';
import { callUserFunction } from '../options/user-functions.js';
import { ClientAddresses } from '../identities/client-addresses.js';
import type { RoutePolicy } from '../routes/route-policy.js';
import { DECIDING_STORAGE, RATE_LIMIT_OPTIONS } from '../options/rate-limit.tokens.js';
import { policiesOf, type PolicyHit } from './policy-hit.js';
import { RequestHits, type FoundHits } from './request-hits.js';
import { keepState, stateFor } from './request-state.js';
import { Reservations, reservationsOf } from './reservations.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import { Warnings } from '../options/warnings.js';
import type { RouteHandler } from '../transports/transport.js';
import { RoutePolicies } from '../routes/route-policies.js';
import { RouteRules } from '../routes/route-rules.js';
import { httpTransport } from '../transports/http.transport.js';
import type { Transport } from '../transports/transport.js';
import { Transports } from '../transports/transports.js';
import { UnboundGuardDetector } from '../routes/unbound-guard-detector.js';
import { shownByName } from '../../common/inspection.js';

/** Seconds after which a store that did not answer may be back. */
const STORE_RETRY_AFTER_S = 1;

/** A request on its way through {@link RequestLimiter}. */
interface LimitedRequest {
  readonly context: ExecutionContext;
  readonly transport: Transport;
  /** What it is counted for; absent before it has reached a handler. */
  readonly handler: RouteHandler | undefined;
  readonly policies: readonly RoutePolicy[];
}

/**
 * Counts a request, all its limits in one call of the storage, and refuses it when one of them does. A request counts once per
 * policy, however often it is asked about. Answers synchronously over memory storage.
 */
@Injectable()
@shownByName
export class RequestLimiter {
  constructor(
    @Inject(RATE_LIMIT_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(DECIDING_STORAGE) private readonly storage: DecidingStorage,
    @Inject(RoutePolicies) private readonly routes: RoutePolicies,
    @Inject(RouteRules) private readonly rules: RouteRules,
    @Inject(RequestHits) private readonly hits: RequestHits,
    @Inject(ClientAddresses) private readonly addresses: ClientAddresses,
    @Inject(Transports) private readonly transports: Transports,
    @Inject(Reservations) private readonly reservations: Reservations,
    @Inject(UnboundGuardDetector) private readonly unboundGuards: UnboundGuardDetector,
    @Inject(Warnings) private readonly warnings: Warnings,
  ) {}

  /**
   * Counts a request that has reached its handler.
   *
   * @param phase the latest phase whose policies count
   * @throws what the refusal of the transport is
   */
  check(context: ExecutionContext, phase: RoutePolicy['phase']): Awaitable<boolean> {
    const transport = this.transports.get(context.getType());
    if (transport === undefined) return true;
    const isAdmitted = transport.isAdmitted?.(context) ?? true;
    if (isAdmitted === true) return this.#checkRoute(context, phase, transport);
    return chain(isAdmitted, (admitted) => admitted && this.#checkRoute(context, phase, transport));
  }

  #checkRoute(
    context: ExecutionContext,
    phase: RoutePolicy['phase'],
    transport: Transport,
  ): Awaitable<boolean> {
    const handler = context.getHandler();
    const route = this.routes.get(context.getClass(), handler);
    const { policies, beforeAuth } =
      transport === httpTransport ? this.rules.policiesFor(route, httpTransport.requestOf(context)) : route;
    if (policies.length > beforeAuth.length) {
      if (phase === 'afterAuth') this.unboundGuards.see(route);
      else this.unboundGuards.watch(route, policies, context, transport);
    }
    return this.#admit({
      context,
      transport,
      handler,
      policies: phase === 'afterAuth' ? policies : beforeAuth,
    });
  }

  /** Counts an HTTP request by the rules for its path, before it has reached a handler. */
  checkPath(context: ExecutionContext): Awaitable<boolean> {
    const transport = this.transports.get('http');
    if (transport === undefined) return true;
    const policies = this.rules
      .forRequest(httpTransport.requestOf(context))
      .filter(({ phase }) => phase === 'beforeAuth');
    return this.#admit({ context, transport, handler: undefined, policies });
  }

  /** Looks at the client's address, where there are lists of them, before anything is counted. */
  #admit(request: LimitedRequest): Awaitable<boolean> {
    const { context, transport, policies } = request;
    if (!this.addresses.hasLists) return policies.length === 0 || this.#count(request);
    return chain(this.addresses.resolve(context, transport), (address) => {
      switch (this.addresses.verdict(address, context, transport)) {
        case 'allow':
          return true;
        case 'deny': {
          const exception = new ForbiddenException();
          return chain(transport.refusal(exception, exception.getResponse() as object, context), raise);
        }
        case undefined:
          return policies.length === 0 || this.#count(request, address);
      }
    });
  }

  #count(request: LimitedRequest, address?: string): Awaitable<boolean> {
    const { context, transport, handler, policies } = request;
    const before = stateFor(transport.stateHolder(context), handler);
    const open =
      before === undefined
        ? policies
        : policies.filter(({ fingerprint }) => !before.counted.includes(fingerprint));
    if (open.length === 0) return true;
    return chain(this.hits.find(open, context, transport, address), (found) => {
      if (found.hits.length === 0) return !('failure' in found) || raise(found.failure);
      return chain(this.#consume(request, found.hits), (result) =>
        this.#answer({ ...request, policies: open }, found, result),
      );
    });
  }

  #consume({ context, transport }: LimitedRequest, hits: readonly PolicyHit[]): Awaitable<BatchResult> {
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
      return chain(transport.refusal(exception, exception.getResponse() as object, context), raise);
    });
  }

  #answer(request: LimitedRequest, found: FoundHits, result: BatchResult): Awaitable<boolean> {
    const { hits } = found;
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
    const hasFailed = 'failure' in found;
    if (result.allowed && !hasFailed) return true;
    // The interceptor, which reports the outcome on other transports, does not see what a guard throws.
    if (transport.onAnswer === undefined)
      void this.reservations.settle(context, transport, { success: false });
    if (result.allowed) return raise(found.failure);
    if (hasFailed) this.warnings.once(`failure ${messageOf(found.failure)}`, messageOf(found.failure));
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
    { context, transport }: LimitedRequest,
    decision: Decision,
    policy?: RoutePolicy,
  ): Awaitable<never> {
    const { errorFactory } = this.options;
    if (errorFactory === undefined) return this.#refuseOrdinarily({ context, transport }, decision, policy);
    return chain(
      tryToMake(() => errorFactory(decision, context)),
      (made) => {
        if (made instanceof Error) throw made;
        this.warnings.once(
          'errorFactory',
          `RateLimitModule: the function "errorFactory" must return an Error, so the ordinary refusal is thrown; got ${describeValue(made)}.`,
        );
        return this.#refuseOrdinarily({ context, transport }, decision, policy);
      },
    );
  }

  #refuseOrdinarily(
    { context, transport }: Pick<LimitedRequest, 'context' | 'transport'>,
    decision: Decision,
    policy?: RoutePolicy,
  ): Awaitable<never> {
    const { errorFormat } = this.options;
    const isProblem = errorFormat === 'problem';
    return chain(this.#messageOf(policy, decision, context), (message) => {
      const exception = new RateLimitExceededException(decision, message, (body) =>
        isProblem ? problemDetails(decision, body.message) : body,
      );
      if (isProblem) this.transports.setFields(context, transport, [['Content-Type', PROBLEM_MEDIA_TYPE]]);
      return chain(transport.refusal(exception, exception.body, context), raise);
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
    return callUserFunction(where, 'errorMessage', () =>
      chain(errorMessage(decision, context), (message) => assertText(where, message)),
    );
  }
}

/** What becomes of hits that cannot be decided, where one of their policies says it; most say nothing. */
function strictestOf(hits: readonly PolicyHit[], otherwise: OnError): OnError | undefined {
  if (hits.every(({ policy, sharedWith }) => policy.onError === undefined && sharedWith === undefined))
    return undefined;
  const modes = hits.flatMap(policiesOf).map(({ onError }) => onError ?? otherwise);
  return strictest(modes);
}

/** @throws ResolverError when a function of the application has made something else of a message */
function assertText(where: string, message: unknown): string {
  if (typeof message === 'string') return message;
  throw new ResolverError(
    `${where}: the function "errorMessage" must return a string; got ${describeValue(message)}.`,
  );
}

function raise(error: unknown): never {
  throw error;
}

/** Returns the error that a function makes or throws; whatever else it makes or throws, as it is. */
function tryToMake(make: () => Awaitable<unknown>): Awaitable<unknown> {
  const made = attempt(make);
  return isPromise(made) ? Promise.resolve(made).catch((error: unknown) => error) : made;
}
