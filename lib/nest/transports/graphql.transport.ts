import type { ServerResponse } from 'node:http';
import { HttpStatus, type ExecutionContext, type HttpException, type Type } from '@nestjs/common';
import { all, chain, isPromise, type Awaitable } from '../../common/awaitable.js';
import type { RequestOutcome } from '../../policies/policy.js';
import { RateLimitExceededException } from './rate-limit-exceeded.exception.js';
import { identifyCall, objectIn } from './calls.js';
import { onHttpAnswer, type NodeResponse } from './http-answer.js';
import { onLastEvent } from './last-event.js';
import type { RequestLike } from '../options/rate-limit.options.js';
import type { RouteHandler, Transport } from './transport.js';

/** Metadata keys of Nest's decorators, which it does not export. */
const RESOLVER_TYPE_METADATA = 'graphql:resolver_type';
const RESOLVER_NAME_METADATA = 'graphql:resolver_name';
const RESOLVER_PROPERTY_METADATA = 'graphql:resolve_property';
const RESOLVER_REFERENCE_METADATA = 'graphql:resolve_reference';

/** The HTTP response that carries the results of operations. */
type HeaderResponse = NodeResponse & Pick<ServerResponse, 'setHeader'>;

/** The connection of a request, or its stream of HTTP/2. */
interface Connection {
  readonly destroyed?: boolean;
}

/** The request of an operation: that of Express or Fastify, or the one that opened a WebSocket. */
interface OperationRequest extends RequestLike {
  readonly socket?: Connection & { readonly remoteAddress?: unknown };
  /** HTTP/2 only. */
  readonly stream?: Connection;
  /** Fastify only. */
  readonly raw?: { readonly socket?: Connection; readonly stream?: Connection };
  /** Express only. */
  readonly res?: HeaderResponse;
}

/** The context of a connection by `graphql-ws`, which Nest gives to resolvers as `req`. */
interface SocketContext {
  readonly extra?: { readonly request?: OperationRequest; readonly user?: unknown };
}

/** The properties of a GraphQL server's context that lead to a request and its user. */
interface OperationContext extends SocketContext {
  readonly req?: OperationRequest & SocketContext;
  readonly request?: OperationRequest;
  readonly res?: { readonly raw?: HeaderResponse } | undefined;
  readonly reply?: { readonly request?: OperationRequest; readonly raw?: HeaderResponse };
  readonly user?: unknown;
}

/**
 * Fields of GraphQL operations. Each call of a resolver counts, so that aliases and batches count
 * as the number of their fields. Sets header fields only with the option `headers.graphql`, since a response has many fields.
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

  setFields(context, fields) {
    const response = responseOf(context);
    if (response === undefined || response.headersSent) return;
    for (const [name, value] of fields) response.setHeader(name, value);
  },

  onOperationEnd(context, tell) {
    const response = responseOf(context);
    if (response !== undefined) onHttpAnswer(response, tell);
  },

  /** Apollo on Fastify does not give its resolvers the response, and a subscription has none. */
  onDisconnect(context, tell) {
    const request = requestOf(context);
    const { stream, socket } = request?.raw ?? request ?? {};
    const connection = stream ?? socket;
    return connection === undefined
      ? () => undefined
      : onLastEvent(connection, 'close', connection.destroyed === true, tell);
  },

  outcomeOf: (context, value) => outcomeOf(returnTypeOf(context), value),

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
  return context.getArgByIndex<OperationContext | undefined>(isReference(context) ? 1 : 2) ?? {};
}

/** Returns the response of an operation; `undefined` for one over a WebSocket. */
function responseOf(context: ExecutionContext): HeaderResponse | undefined {
  const { req, res, reply } = operationOf(context);
  return req?.res ?? res?.raw ?? reply?.raw;
}

/**
 * Returns the request of an operation. If guards or the server have left its user on the context or
 * on the connection, the returned view of the request has that user.
 */
function requestOf(context: ExecutionContext): OperationRequest | undefined {
  const operation = operationOf(context);
  const { req, request: own, reply, extra } = operation;
  const request = req?.extra?.request ?? req ?? own ?? reply?.request ?? extra?.request;
  if (request === undefined || isPresent(request.user)) return request;
  const user = [req?.user, req?.extra?.user, extra?.user, operation.user].find(isPresent);
  if (user === undefined) return request;
  return Object.create(request, { user: { value: user, enumerable: true } }) as OperationRequest;
}

/** Returns true for resolvers of references, which get no arguments of the field. */
function isReference(context: ExecutionContext): boolean {
  return context.getArgs().length === 3;
}

function isPresent(value: unknown): boolean {
  return value !== undefined && value !== null;
}

/** Returns true if a context is one of a subscription. */
export function isSubscription(context: ExecutionContext): boolean {
  const { operation } = (infoOf(context) ?? {}) as { operation?: { operation?: unknown } };
  return operation?.operation === 'subscription';
}

/** Returns the `info` argument, which GraphQL.js creates for each field of each operation. */
function infoOf(context: ExecutionContext): object | undefined {
  return objectIn(context.getArgs().at(-1));
}

/** Returns the notation of a field's type, such as `[Book!]!`. */
function returnTypeOf(context: ExecutionContext): string {
  if (isReference(context)) return '';
  const { returnType } = (infoOf(context) ?? {}) as { returnType?: { toString(): string } };
  return returnType?.toString() ?? '';
}

/**
 * Reads a returned value as GraphQL.js does: an error fails like a thrown one, also within a list,
 * and so does `null` where the type forbids it.
 */
function outcomeOf(type: string, value: unknown): Awaitable<RequestOutcome> {
  if (value instanceof Error) return { success: false, error: value };
  if (type.endsWith('!'))
    return value === undefined || value === null ? { success: false } : outcomeOf(type.slice(0, -1), value);
  if (!type.startsWith('[') || !(Array.isArray(value) || value instanceof Set)) return { success: true };
  const outcomes = Array.from<unknown, Awaitable<RequestOutcome>>(value, (item) =>
    isPromise(item)
      ? item.then(
          (resolved) => outcomeOf(type.slice(1, -1), resolved),
          (error: unknown) => ({ success: false, error }),
        )
      : outcomeOf(type.slice(1, -1), item),
  );
  return chain(all(outcomes), (found) => found.find(({ success }) => !success) ?? { success: true });
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
