import {
  HttpException,
  RequestMethod,
  VERSION_NEUTRAL,
  type ExecutionContext,
  type Type,
} from '@nestjs/common';
import type { RequestLike } from '../options/rate-limit.options.js';
import { hasClient, onHttpAnswer, type NodeResponse, type NodeRequest } from './http-answer.js';
import { joinPaths } from './join-paths.js';
import type { RouteHandler, Transport } from './transport.js';

/** Metadata keys of Nest's decorators, which it does not export. */
const PATH_METADATA = 'path';
const METHOD_METADATA = 'method';
const VERSION_METADATA = '__version__';
const HOST_METADATA = 'host';

/**
 * The common properties of Express's and Fastify's requests. Middleware on Fastify gets the `raw`
 * one.
 */
export interface HttpRequest extends RequestLike, NodeRequest {
  readonly method?: string;
  readonly url?: string;
  readonly originalUrl?: string;
  readonly raw?: NodeRequest;
  /** Express: the matched route. */
  readonly route?: { readonly path?: unknown };
  /** Fastify: the matched route. */
  readonly routeOptions?: { readonly url?: unknown };
}

interface HttpResponse extends NodeResponse {
  /** Fastify only. */
  readonly raw?: NodeResponse & Pick<HttpResponse, 'setHeader'>;
  /** Absent on Fastify's response, but present on the raw one that middleware gets. */
  setHeader?(name: string, value: string): unknown;
}

/** Status in the logs of servers for requests whose client has closed the connection. */
export const CLIENT_CLOSED_REQUEST = 499;

/** Returns the error of a request whose client has gone. Nest does not log it. */
export function clientClosedError(): HttpException {
  return new HttpException('The client has closed the connection.', CLIENT_CLOSED_REQUEST);
}

/** Requests to controllers, on Express and Fastify. */
export const httpTransport = {
  type: 'http',
  isProxied: true,

  /** Libraries whose handlers Nest calls by `ExternalContextCreator` may say `http` too, and have no response. */
  isContext(context) {
    const response = context.getArgByIndex<Partial<HttpResponse> | undefined>(1);
    const { headersSent, setHeader } = response?.raw ?? response ?? {};
    return typeof setHeader === 'function' || typeof headersSent === 'boolean';
  },

  isHandler: (handler) => Reflect.hasMetadata(PATH_METADATA, handler),

  /** Named by method, path template, version and host, without the application's global prefix. */
  routeId,

  /** Middleware sees the raw request, also on Fastify. */
  stateHolder(context) {
    const request = requestOf(context);
    return request.raw ?? request;
  },

  requestOf,

  addressOf(context) {
    const { ip } = requestOf(context);
    return typeof ip === 'string' ? ip : undefined;
  },

  hasAddresses: () => true,

  /**
   * @throws HttpException if the client has closed the connection, or reset the stream. Nest does
   * not log it
   */
  isAdmitted(context) {
    const request = requestOf(context);
    if (hasClient(request.raw ?? request)) return true;
    throw clientClosedError();
  },

  /** Does nothing once the header has been sent, for example by a middleware with a timeout. */
  setFields(context, fields, adapter) {
    if (isAnswered(context)) return;
    const response = responseOf(context);
    for (const [name, value] of fields) {
      if (response.setHeader === undefined) adapter.setHeader(response, name, value);
      else response.setHeader(name, value);
    }
  },

  onAnswer(context, tell) {
    const response = responseOf(context);
    onHttpAnswer(response.raw ?? response, tell);
  },

  refusal: (exception) => exception,
} satisfies Transport;

/** Returns true if the header of the response has been sent. */
export function isAnswered(context: ExecutionContext): boolean {
  const response = responseOf(context);
  return (response.raw ?? response).headersSent;
}

/** Unlike `switchToHttp`, creates no functions for each call. */
function requestOf(context: ExecutionContext): HttpRequest {
  return context.getArgByIndex<HttpRequest>(0);
}

function responseOf(context: ExecutionContext): HttpResponse {
  return context.getArgByIndex<HttpResponse>(1);
}

function routeId(controller: Type, handler: RouteHandler, modulePath: string): string {
  const method =
    RequestMethod[(Reflect.getMetadata(METHOD_METADATA, handler) as RequestMethod | undefined) ?? 0] ?? 'ALL';
  const paths = pathsOf(controller).flatMap((prefix) =>
    pathsOf(handler).map((path) => joinPaths(modulePath, prefix, path)),
  );
  const version: unknown =
    Reflect.getMetadata(VERSION_METADATA, handler) ?? Reflect.getMetadata(VERSION_METADATA, controller);
  const host: unknown = Reflect.getMetadata(HOST_METADATA, controller);
  return [`http ${method} ${paths.join('|')}`, describe('v', version), describe('host ', host)]
    .filter(Boolean)
    .join(' ');
}

function pathsOf(target: object): string[] {
  const path: unknown = Reflect.getMetadata(PATH_METADATA, target);
  return (Array.isArray(path) ? path : [path ?? '']).map(String);
}

function describe(prefix: string, value: unknown): string {
  if (value === undefined) return '';
  const values: unknown[] = Array.isArray(value) ? value : [value];
  return prefix + values.map((one) => (one === VERSION_NEUTRAL ? 'neutral' : String(one))).join('|');
}
