import { HttpStatus, type ExecutionContext, type HttpException, type Type } from '@nestjs/common';
import { RateLimitExceededException } from './rate-limit-exceeded.exception.js';
import { identifyCall, objectIn } from './calls.js';
import { onHttpAnswer, type NodeResponse } from './http-answer.js';
import type { RequestLike } from '../options/rate-limit.options.js';
import type { RouteHandler, Transport } from './transport.js';

/** Metadata keys of Nest's decorators, which it does not export. */
const RESOLVER_TYPE_METADATA = 'graphql:resolver_type';
const RESOLVER_NAME_METADATA = 'graphql:resolver_name';
const RESOLVER_PROPERTY_METADATA = 'graphql:resolve_property';
const RESOLVER_REFERENCE_METADATA = 'graphql:resolve_reference';

/** The request of an operation: that of Express or Fastify, or the one that opened a WebSocket. */
interface OperationRequest extends RequestLike {
  readonly socket?: { readonly remoteAddress?: unknown };
  /** Express only. */
  readonly res?: NodeResponse;
}

/** The properties of a GraphQL server's context that lead to a request. */
interface OperationContext {
  readonly req?: OperationRequest & { readonly extra?: { readonly request?: OperationRequest } };
  readonly request?: OperationRequest;
  readonly res?: { readonly raw?: NodeResponse };
  readonly reply?: { readonly request?: OperationRequest; readonly raw?: NodeResponse };
  /** `graphql-ws` only. */
  readonly extra?: { readonly request?: OperationRequest };
}

/**
 * Fields of GraphQL operations. Each call of a resolver counts, so that aliases and batches count
 * as the number of their fields. Sets no header fields, since a response has many fields.
 */
export const graphqlTransport: Transport = {
  type: 'graphql',
  isProxied: true,

  isHandler: (handler) =>
    [RESOLVER_TYPE_METADATA, RESOLVER_PROPERTY_METADATA, RESOLVER_REFERENCE_METADATA].some((key) =>
      Reflect.hasMetadata(key, handler),
    ),

  routeId: (resolver, handler) => `graphql ${fieldOf(resolver, handler)}`,

  stateHolder: (context) => identifyCall(context, infoOf(context)),

  callHint: infoOf,

  requestOf,

  addressOf(context) {
    const request = requestOf(context);
    const ip = request?.ip ?? request?.socket?.remoteAddress;
    return typeof ip === 'string' ? ip : undefined;
  },

  hasAddresses: () => true,

  onOperationEnd(context, tell) {
    const { req, res, reply } = operationOf(context);
    const response = req?.res ?? res?.raw ?? reply?.raw;
    if (response !== undefined) onHttpAnswer(response, tell);
  },

  /**
   * GraphQL servers copy the `extensions` of a thrown error to the error for the client. Apollo's
   * driver replaces the code of an exception whose response has a status, so this response has
   * none.
   */
  refusal(exception: HttpException, body: object): Error {
    const { error, message, ...details } = body as { error?: unknown; message?: unknown };
    const thrown =
      exception instanceof RateLimitExceededException
        ? new RateLimitExceededException(exception.decision, exception.message, () => ({ error, message }))
        : exception;
    return Object.assign(thrown, { extensions: { code: HttpStatus[exception.getStatus()], ...details } });
  },
};

function operationOf(context: ExecutionContext): OperationContext {
  // Resolvers of references get no arguments of the field.
  const position = context.getArgs().length === 3 ? 1 : 2;
  return context.getArgByIndex<OperationContext | undefined>(position) ?? {};
}

function requestOf(context: ExecutionContext): OperationRequest | undefined {
  const { req, request, reply, extra } = operationOf(context);
  return req?.extra?.request ?? req ?? request ?? reply?.request ?? extra?.request;
}

/** Returns the `info` argument, which GraphQL.js creates for each field of each operation. */
function infoOf(context: ExecutionContext): object | undefined {
  return objectIn(context.getArgs().at(-1));
}

function fieldOf(resolver: Type, handler: RouteHandler): string {
  const type: unknown =
    Reflect.getMetadata(RESOLVER_TYPE_METADATA, handler) ??
    Reflect.getMetadata(RESOLVER_TYPE_METADATA, resolver) ??
    resolver.name;
  const name: unknown = Reflect.hasMetadata(RESOLVER_REFERENCE_METADATA, handler)
    ? '__resolveReference'
    : (Reflect.getMetadata(RESOLVER_NAME_METADATA, handler) ?? handler.name);
  return `${String(type)}.${String(name)}`;
}
