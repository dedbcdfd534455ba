import type { ExecutionContext, HttpException, Type } from '@nestjs/common';
import type * as websockets from '@nestjs/websockets';
import type { Awaitable } from '../../common/awaitable.js';
import { CONNECTION_METADATA } from '../options/rate-limit.tokens.js';
import { joinPaths } from './join-paths.js';
import { HandlerContext } from './handler-context.js';
import { identifyCall, objectIn } from './calls.js';
import { onLastEvent } from './last-event.js';
import type { RequestLike } from '../options/rate-limit.options.js';
import type { Transport } from './transport.js';

/** Metadata keys of Nest's decorators, which it does not export. */
const GATEWAY_METADATA = 'websockets:is_gateway';
const MESSAGE_METADATA = 'message';
const GATEWAY_OPTIONS_METADATA = 'websockets:gateway_options';
const PORT_METADATA = 'port';

/** The request that opens a connection. */
interface UpgradeRequest {
  readonly headers?: NonNullable<RequestLike['headers']>;
  readonly socket?: { readonly remoteAddress?: unknown };
}

/** A connection of Socket.IO or of `ws`. */
interface Connection extends RequestLike {
  /** Socket.IO only. */
  readonly handshake?: RequestLike & { readonly address?: unknown };
  /** Socket.IO only: data of the application. */
  readonly data?: RequestLike;
  /** Socket.IO only: the HTTP request after its middleware. */
  readonly request?: RequestLike;
  /** `ws` only, whose public API gives the address only to listeners of its server. */
  readonly _socket?: { readonly remoteAddress?: unknown };
  /** Socket.IO only: false once the connection has ended. */
  readonly connected?: boolean;
  /** `ws` only: {@link CLOSING} or more once the connection is ending. */
  readonly readyState?: number;
}

/** State of a `ws` connection from which on it is closing. */
const CLOSING = 2;

/** Admissions of connections that are refused or still pending. */
const admissions = new WeakMap<object, Awaitable<boolean>>();

/** Messages to gateways, and connections to them. */
export const wsTransport: Transport = {
  type: 'ws',
  isProxied: false,

  isHandler: (handler) =>
    Reflect.hasMetadata(MESSAGE_METADATA, handler) || Reflect.hasMetadata(CONNECTION_METADATA, handler),

  routeId(gateway, handler) {
    if (!Reflect.hasMetadata(MESSAGE_METADATA, handler)) return `ws-connection ${placeOf(gateway)}`;
    const message: unknown = Reflect.getMetadata(MESSAGE_METADATA, handler);
    return `ws ${placeOf(gateway)} ${typeof message === 'string' ? message : JSON.stringify(message)}`;
  },

  stateHolder: (context) => identifyCall(context, callHint(context)),

  callHint,

  /** Connections of `ws` have headers only in the request that opens them. */
  requestOf(context) {
    const { headers: own, user, session, handshake, data, request } = connectionOf(context);
    const headers = own ?? handshake?.headers ?? upgradeOf(context)?.headers;
    return {
      user: user ?? data?.user ?? request?.user,
      session: session ?? handshake?.session ?? request?.session,
      ...(headers === undefined ? {} : { headers }),
    };
  },

  addressOf(context) {
    const { handshake, _socket } = connectionOf(context);
    const address = handshake?.address ?? upgradeOf(context)?.socket?.remoteAddress ?? _socket?.remoteAddress;
    return typeof address === 'string' ? address : undefined;
  },

  hasAddresses: () => true,

  connectionOf,

  onDisconnect: (context, tell) => onDisconnect(connectionOf(context), tell),

  isAdmitted: (context) => admissions.get(connectionOf(context)) ?? true,

  async refusal(cause: HttpException, body: object): Promise<Error> {
    const { WsException } = await importOptional();
    return Object.assign(new WsException({ status: 'error', ...body }), { cause });
  },
};

/** Calls back when a connection has ended, at once if it has already. Returns a function that removes the callback. */
export function onDisconnect(connection: object, tell: () => void): () => void {
  const { connected, readyState = 0 } = connection as Connection;
  const isOver = connected === false || readyState >= CLOSING;
  return onLastEvent(connection, 'disconnect' in connection ? 'disconnect' : 'close', isOver, tell);
}

/** Returns true if Nest calls `handleConnection` of a class. */
export function isGateway(target: Type): boolean {
  return Reflect.hasMetadata(GATEWAY_METADATA, target);
}

/** Blocks messages of a connection until it is admitted, and all messages if it is not. */
export function admit(connection: object, isAdmitted: Awaitable<boolean>): void {
  admissions.set(connection, isAdmitted);
}

function connectionOf(context: ExecutionContext): Connection {
  return context.switchToWs().getClient<Connection>();
}

/**
 * Returns the request that opens a connection, if the context is one of a connection. The data of a
 * message may have any shape.
 */
function upgradeOf(context: ExecutionContext): UpgradeRequest | undefined {
  return context instanceof HandlerContext ? context.getArgByIndex<UpgradeRequest | undefined>(1) : undefined;
}

/**
 * Returns the data of a message if they are an object, which is created for that message; otherwise
 * the connection.
 */
function callHint(context: ExecutionContext): object {
  const data = objectIn(context.switchToWs().getData());
  return data !== undefined && Object.isExtensible(data) ? data : connectionOf(context);
}

/** Returns the location of a gateway: port, path and namespace, without spaces. */
function placeOf(gateway: Type): string {
  const port = Reflect.getMetadata(PORT_METADATA, gateway) as number | undefined;
  const { path, namespace } = (Reflect.getMetadata(GATEWAY_OPTIONS_METADATA, gateway) ?? {}) as {
    path?: unknown;
    namespace?: unknown;
  };
  const place = [path, namespace]
    .filter(Boolean)
    .map((part) => (part instanceof RegExp ? String(part) : joinPaths(String(part))))
    .join('#');
  return (port ? `:${port}` : '') + (place || '/').replaceAll(/\s/g, '%20');
}

/** Imports the package in a `try`, which tells bundlers that an application may lack it. */
async function importOptional(): Promise<typeof websockets> {
  try {
    return await import('@nestjs/websockets');
  } catch (error) {
    throw error; // unreachable: Nest itself has loaded the package for the call
  }
}
