import type { ExecutionContext, HttpException } from '@nestjs/common';
import type { Transport } from './transport.js';

/** The context of a message over TCP; those of brokers know no client. */
interface TcpMessage {
  getSocketRef?(): {
    readonly remoteAddress?: unknown;
    readonly socket?: { readonly remoteAddress?: unknown };
  };
}

/** Messages and events of microservices. */
export const rpcTransport: Transport = {
  carrierOf: (context) => messageOf(context) ?? context.getArgs(),

  requestOf: () => undefined,

  addressOf(context) {
    const socket = messageOf(context)?.getSocketRef?.();
    const address = socket?.remoteAddress ?? socket?.socket?.remoteAddress;
    return typeof address === 'string' ? address : undefined;
  },

  async refusal(cause: HttpException, body: object): Promise<Error> {
    const { RpcException } = await import('@nestjs/microservices');
    return Object.assign(new RpcException({ status: 'error', ...body }), { cause });
  },
};

/** Made for each message. */
function messageOf(context: ExecutionContext): TcpMessage | undefined {
  const message = context.switchToRpc().getContext<TcpMessage | undefined>();
  return typeof message === 'object' && message !== null ? message : undefined;
}
