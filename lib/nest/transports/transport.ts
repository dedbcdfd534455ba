import type { ExecutionContext, HttpException, Type } from '@nestjs/common';
import type { AbstractHttpAdapter } from '@nestjs/core';
import type { Awaitable } from '../../common/awaitable.js';
import type { HeaderField } from '../../http/header-fields.js';
import type { RequestOutcome } from '../../policies/policy.js';
import type { RequestLike } from '../options/rate-limit.options.js';
import type { Delivery } from './delivery.js';

/** A method that handles a route, a message, a pattern or a field. */
export type RouteHandler = ReturnType<ExecutionContext['getHandler']>;

/** One kind of execution context: how its handlers are recognized and named, and how its requests are read and answered. */
export interface Transport {
  /** The type of its contexts: `http`, `graphql`, `ws`, `rpc` or another. */
  readonly type: string;

  /** Whether its requests come by HTTP, perhaps through a proxy. */
  readonly isProxied: boolean;

  /** Whether a context of the type is one of this transport. Others count as an unknown type. Default: all are. */
  isContext?(context: ExecutionContext): boolean;

  /** Whether a method is one of its handlers, by the metadata of Nest's decorators. */
  isHandler(handler: object): boolean;

  /**
   * Names a handler, the same in every process and release, whatever its class is called.
   *
   * @param modulePath path of the controller's module, as `RouterModule` gave it
   */
  routeId(controller: Type, handler: RouteHandler, modulePath: string): string;

  /** An object that lives as long as one call of a handler and is the same for all its guards and interceptors: its state is kept there. */
  stateHolder(context: ExecutionContext): object;

  /** Something of a call by which decorators of parameters find its holder, where they are given a copy of the arguments. */
  callHint?(context: ExecutionContext): object | undefined;

  /** The request, if there is one. */
  requestOf(context: ExecutionContext): RequestLike | undefined;

  /** The client's address; `undefined` where there is none. */
  addressOf(context: ExecutionContext): string | undefined;

  /** Whether clients connect to this process, so that a request without an address is an exception. */
  hasAddresses(context: ExecutionContext): boolean;

  /** The connection that brought a message, where several messages come by one. */
  connectionOf?(context: ExecutionContext): object;

  /**
   * Whether the connection may send messages or requests.
   *
   * @throws HttpException where the transport has a refusal of its own
   */
  isAdmitted?(context: ExecutionContext): Awaitable<boolean>;

  /** Sends header fields, where there is a response to have them. */
  setFields?(
    context: ExecutionContext,
    fields: readonly HeaderField[],
    adapter: Pick<AbstractHttpAdapter, 'setHeader'>,
  ): void;

  /**
   * Calls back exactly once, when the request has been answered or its client has gone away. Where it is missing, an interceptor
   * reports the outcome.
   */
  onAnswer?(context: ExecutionContext, tell: (outcome: RequestOutcome) => void): void;

  /** How a message came, if the broker or the client has to be told of its refusal. */
  deliveryOf?(context: ExecutionContext): Delivery | undefined;

  /**
   * What to throw, so that the client gets to know of a refusal.
   *
   * @param body what the client is told
   */
  refusal(exception: HttpException, body: object, context: ExecutionContext): Awaitable<Error>;
}
