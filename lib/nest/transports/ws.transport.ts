import type { ExecutionContext, HttpException } from '@nestjs/common';
import type { RequestLike, Transport } from './transport.js';

/** A connection of Socket.IO or of `ws`. */
interface Connection extends RequestLike {
  readonly handshake?: RequestLike & { readonly address?: unknown };
  /** Of `ws`, which shows the address only to whoever listens to its server. */
  readonly _socket?: { readonly remoteAddress?: unknown };
}

/** Messages to gateways, and connections to them. */
export const wsTransport: Transport = {
  /** The data of a message is the same object for all; where it is none, guards at least share the arguments. */
  carrierOf(context) {
    const data: unknown = context.switchToWs().getData();
    return typeof data === 'object' && data !== null ? data : context.getArgs();
  },

  requestOf(context) {
    const client = connectionOf(context);
    const { headers = client.handshake?.headers, user, session = client.handshake?.session } = client;
    return { user, session, ...(headers === undefined ? {} : { headers }) };
  },

  addressOf(context) {
    const { handshake, _socket } = connectionOf(context);
    const address = handshake?.address ?? _socket?.remoteAddress;
    return typeof address === 'string' ? address : undefined;
  },

  connectionOf,

  async refusal(cause: HttpException, body: object): Promise<Error> {
    const { WsException } = await import('@nestjs/websockets');
    return Object.assign(new WsException({ status: 'error', ...body }), { cause });
  },
};

function connectionOf(context: ExecutionContext): Connection {
  return context.switchToWs().getClient<Connection>();
}
