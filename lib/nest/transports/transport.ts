import type { ExecutionContext, HttpException, Type } from '@nestjs/common';
import type { AbstractHttpAdapter } from '@nestjs/core';
import type { Observable } from 'rxjs';
import type { Awaitable } from '../../common/awaitable.js';
import type { HeaderField } from '../../http/header-fields.js';
import type { RequestOutcome } from '../../policies/policy.js';
import type { RequestLike } from '../options/rate-limit.options.js';
import type { Delivery } from './delivery.js';

/** A method that handles a route, a message, a pattern or a field. */
export type RouteHandler = ReturnType<ExecutionContext['getHandler']>;

/**
 * One kind of execution context: recognizes and names its handlers, reads its requests, and refuses
 * them.
 */
export interface Transport {
  /** The type of its contexts: `http`, `graphql`, `ws`, `rpc` or another. */
  readonly type: string;

  /** True if its requests arrive by HTTP, where a proxy may be in between. */
  readonly isProxied: boolean;

  /** Returns false for a context of the type that is not one of this transport. It counts as an unknown type. */
  isContext?(context: ExecutionContext): boolean;

  /** Returns true if a method is one of its handlers, by the metadata of Nest's decorators. */
  isHandler(handler: object): boolean;

  /**
   * Names a handler. The name is the same in every process and release, and independent of the
   * class name.
   *
   * @param modulePath path of the controller's module, as given to `RouterModule`
   */
  routeId(controller: Type, handler: RouteHandler, modulePath: string): string;

  /**
   * Returns the object that holds the state of a call. It lives as long as one call of a handler,
   * and is the same for all its guards and interceptors.
   */
  stateHolder(context: ExecutionContext): object;

  /**
   * Returns an argument by which parameter decorators find the call, if Nest gives them a copy of
   * the arguments.
   */
  callHint?(context: ExecutionContext): object | undefined;

  /** The request, if there is one. */
  requestOf(context: ExecutionContext): RequestLike | undefined;

  /** Returns the client's address; `undefined` if there is none. */
  addressOf(context: ExecutionContext): string | undefined;

  /** Returns true if clients connect to this process, so that each request should have an address. */
  hasAddresses(context: ExecutionContext): boolean;

  /** Returns the connection of a message, if a connection carries several messages. */
  connectionOf?(context: ExecutionContext): object;

  /**
   * Returns true if the connection may send messages or requests.
   *
   * @throws HttpException if the transport has its own refusal
   */
  isAdmitted?(context: ExecutionContext): Awaitable<boolean>;

  /** Sends header fields, if there is a response for them. */
  setFields?(
    context: ExecutionContext,
    fields: readonly HeaderField[],
    adapter: Pick<AbstractHttpAdapter, 'setHeader'>,
  ): void;

  /**
   * Calls back exactly once, when the request has been answered or its client has disconnected. If
   * a transport lacks it, an interceptor reports the outcome.
   */
  onAnswer?(context: ExecutionContext, tell: (outcome: RequestOutcome) => void): void;

  /**
   * Calls back when the client of a message has disconnected, at once if it has already; on gRPC, when the call is over.
   *
   * @returns a function that removes the callback
   */
  onDisconnect?(context: ExecutionContext, tell: () => void): () => void;

  /** Completes when a call is over whose handler returns before; `undefined` for any other call. */
  restOf?(context: ExecutionContext): Observable<never> | undefined;

  /** Calls back when the HTTP response has ended that carries several calls. */
  onOperationEnd?(context: ExecutionContext, tell: () => void): void;

  /**
   * Returns the outcome of a call that is over. Without it, every call whose handler has returned succeeds.
   *
   * @param value what the handler returned
   */
  outcomeOf?(context: ExecutionContext, value: unknown): Awaitable<RequestOutcome>;

  /** Delivery of a message, if the broker or the client must be notified of its refusal. */
  deliveryOf?(context: ExecutionContext): Delivery | undefined;

  /**
   * Returns the error to throw for a refusal.
   *
   * @param body the body for the client
   */
  refusal(exception: HttpException, body: object, context: ExecutionContext): Awaitable<Error>;
}
