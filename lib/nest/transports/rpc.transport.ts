import type { ExecutionContext, HttpException } from '@nestjs/common';
import type * as microservices from '@nestjs/microservices';
import { rmqDelivery } from './amqp.js';
import {
  grpcCallOf,
  grpcFailure,
  grpcOutcome,
  grpcRequest,
  grpcRest,
  grpcStatus,
  onGrpcEnd,
  peerAddress,
} from './grpc.js';
import { identifyCall, objectIn } from './calls.js';
import { onLastEvent } from './last-event.js';
import type { RequestLike } from '../options/rate-limit.options.js';
import type { RouteHandler, Transport } from './transport.js';

/** Metadata keys of Nest's decorators, which it does not export. */
const PATTERN_METADATA = 'microservices:pattern';
const PATTERN_HANDLER_METADATA = 'microservices:handler_type';
const PATTERN_TRANSPORT_METADATA = 'microservices:transport';
const EVENT_HANDLER = 2;
const GRPC = 4;

/** The connection of a message over TCP. */
interface NetSocket {
  readonly remoteAddress?: unknown;
  readonly destroyed?: boolean;
}

/** The context of a message over TCP. Contexts of brokers have no client. */
interface TcpMessage {
  getSocketRef?(): { readonly netSocket?: NetSocket } | undefined;
}

/** Messages and events of microservices. */
export const rpcTransport: Transport = {
  type: 'rpc',
  isProxied: false,

  isHandler: (handler) => Reflect.hasMetadata(PATTERN_METADATA, handler),

  routeId: (_controller, handler) => grpcMethod(handler) ?? `rpc ${patternOf(handler)}`,

  stateHolder: (context) => identifyCall(context, callHint(context)),

  callHint,

  /** Of gRPC, by its metadata. */
  requestOf(context): RequestLike | undefined {
    const call = grpcCallOf(context);
    return call && grpcRequest(call);
  },

  addressOf(context) {
    const call = grpcCallOf(context);
    if (call !== undefined) return peerAddress(call);
    const address = tcpMessage(context)?.getSocketRef?.()?.netSocket?.remoteAddress;
    return typeof address === 'string' ? address : undefined;
  },

  hasAddresses: (context) =>
    grpcCallOf(context) !== undefined || tcpMessage(context)?.getSocketRef !== undefined,

  onDisconnect(context, tell) {
    const call = grpcCallOf(context);
    if (call !== undefined) return onGrpcEnd(call, tell);
    const socket = tcpMessage(context)?.getSocketRef?.()?.netSocket;
    if (socket === undefined) return () => undefined; // a broker's message has no client
    return onLastEvent(socket, 'close', socket.destroyed === true, tell);
  },

  restOf: grpcRest,

  outcomeOf: grpcOutcome,

  deliveryOf: (context) => ({
    hasReply: !isEventHandler(context.getHandler()),
    amqp: rmqDelivery(context),
    fail: grpcFailure(context),
  }),

  /**
   * Returns the exception itself for an event. An event has no reply, and a flood of errors must
   * not fill Nest's log.
   */
  async refusal(cause: HttpException, body: object, context: ExecutionContext): Promise<Error> {
    if (isEventHandler(context.getHandler())) return cause;
    const { RpcException } = await importOptional();
    const call = grpcCallOf(context);
    const error = call === undefined ? { status: 'error', ...body } : grpcStatus(cause, body, call);
    return Object.assign(new RpcException(error), { cause });
  },
};

function tcpMessage(context: ExecutionContext): TcpMessage | undefined {
  return objectIn(context.switchToRpc().getContext());
}

/** Returns the context, which Nest creates for each message. */
function callHint(context: ExecutionContext): object | undefined {
  const rpc = context.switchToRpc();
  return objectIn(rpc.getContext()) ?? objectIn(rpc.getData());
}

/** Returns true if a handler of a microservice sends no reply. */
function isEventHandler(handler: RouteHandler): boolean {
  return Reflect.getMetadata(PATTERN_HANDLER_METADATA, handler) === EVENT_HANDLER;
}

/** Service and method, as the path of a call of gRPC has them; `undefined` for another transport. */
function grpcMethod(handler: RouteHandler): string | undefined {
  if (Reflect.getMetadata(PATTERN_TRANSPORT_METADATA, handler) !== GRPC) return undefined;
  const [pattern] = Reflect.getMetadata(PATTERN_METADATA, handler) as readonly unknown[];
  const { service, rpc } = (pattern ?? {}) as { service?: unknown; rpc?: unknown };
  return typeof service === 'string' && typeof rpc === 'string' ? `grpc ${service}/${rpc}` : undefined;
}

/**
 * Returns kind, patterns and transport. One pattern may have a handler of messages and one of
 * events, or one for each transport.
 */
function patternOf(handler: RouteHandler): string {
  const patterns = Reflect.getMetadata(PATTERN_METADATA, handler) as readonly unknown[];
  const transport = Reflect.getMetadata(PATTERN_TRANSPORT_METADATA, handler) as number | symbol | undefined;
  return [
    isEventHandler(handler) ? 'event' : 'message',
    patterns
      .map((pattern) => (pattern instanceof RegExp ? String(pattern) : JSON.stringify(pattern)))
      .join('|'),
    transport === undefined ? '' : `over ${String(transport)}`,
  ]
    .filter(Boolean)
    .join(' ');
}

/** Imports the package in a `try`, which tells bundlers that an application may lack it. */
async function importOptional(): Promise<typeof microservices> {
  try {
    return await import('@nestjs/microservices');
  } catch (error) {
    throw error; // unreachable: Nest itself has loaded the package for the call
  }
}
