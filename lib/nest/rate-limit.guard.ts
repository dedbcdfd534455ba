import { Inject, Injectable, Logger, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { chain, type Awaitable } from '../common/awaitable.js';
import { legacyFields, retryAfterFields, standardFields, type HeaderField } from '../http/header-fields.js';
import { Decision } from '../limiter/decision.js';
import type { BatchResult } from '../storages/contract.js';
import type { Storage } from '../storages/storage.js';
import { RateLimitExceededException } from './rate-limit-exceeded.exception.js';
import { RATE_LIMIT_OPTIONS, RATE_LIMIT_STORAGE } from './rate-limit.tokens.js';
import { isDecided, keepDecision } from './request-decision.js';
import { RequestHits } from './request-hits.js';
import type { ResolvedOptions } from './resolve-options.js';
import { RoutePolicies } from './route-policies.js';

/**
 * Counts a request against the limits of its route, all of them in one call of the storage, and refuses it with 429 when one
 * of them does. Answers synchronously over memory storage. Bound to every route unless the module is given `guard: false`;
 * a request counts once, however often the guard is bound.
 */
@Injectable()
export class RateLimitGuard implements CanActivate {
  readonly #logger = new Logger('RateLimit');
  readonly #foreignTransports = new Set<string>();

  constructor(
    @Inject(RATE_LIMIT_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(RATE_LIMIT_STORAGE) private readonly storage: Storage,
    @Inject(RoutePolicies) private readonly routes: RoutePolicies,
    @Inject(RequestHits) private readonly hits: RequestHits,
    @Inject(HttpAdapterHost) private readonly adapterHost: HttpAdapterHost,
  ) {}

  canActivate(context: ExecutionContext): Awaitable<boolean> {
    if (context.getType() !== 'http') return this.#letPass(context.getType());
    const policies = this.routes.of(context.getClass(), context.getHandler());
    if (policies.length === 0) return true;
    const request = context.switchToHttp().getRequest<object>();
    if (isDecided(request, context.getHandler())) return true;
    return chain(this.hits.of(policies, context), (batch) =>
      batch.length === 0
        ? true
        : chain(this.storage.consume(batch), (result) => this.#answer(result, request, context)),
    );
  }

  #answer(result: BatchResult, request: object, context: ExecutionContext): boolean {
    const decision = new Decision(result);
    keepDecision(request, context.getHandler(), decision);
    this.#setFields(decision, context);
    if (decision.allowed) return true;
    throw this.#refusal(decision, context);
  }

  #setFields(decision: Decision, context: ExecutionContext): void {
    const { standard, legacy, retryAfter } = this.options.headers;
    const response = context.switchToHttp().getResponse<object>();
    if (standard) this.#set(response, standardFields(decision));
    if (legacy) this.#set(response, legacyFields(decision));
    if (retryAfter) this.#set(response, retryAfterFields(decision));
  }

  #set(response: object, fields: readonly HeaderField[]): void {
    const { httpAdapter } = this.adapterHost;
    for (const [name, value] of fields) httpAdapter.setHeader(response, name, value);
  }

  #refusal(decision: Decision, context: ExecutionContext): Error {
    const { errorFactory, errorMessage } = this.options;
    if (errorFactory !== undefined) return errorFactory(decision, context);
    const message = typeof errorMessage === 'function' ? errorMessage(decision, context) : errorMessage;
    return new RateLimitExceededException(decision, message);
  }

  #letPass(transport: string): true {
    if (!this.#foreignTransports.has(transport)) {
      this.#foreignTransports.add(transport);
      this.#logger.warn(
        `RateLimitGuard limits HTTP requests only: those of the transport "${transport}" pass uncounted.`,
      );
    }
    return true;
  }
}
