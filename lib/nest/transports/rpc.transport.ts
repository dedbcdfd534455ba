import type { ExecutionContext, HttpException } from '@nestjs/common';
import { isEventHandler } from '../routes/route-id.js';
import { identifyCall, objectIn } from './calls.js';
import type { RequestLike, Transport } from './transport.js';

/** The context of a message over TCP; those of brokers know no client. */
interface TcpMessage {
  getSocketRef?(): { readonly netSocket?: { readonly remoteAddress?: unknown } } | undefined;
}

/** Messages and events of microservices. */
export const rpcTransport: Transport = {
  stateHolder: (context) => identifyCall(context, callHint(context)),

  callHint,

  requestOf: (): RequestLike | undefined => undefined,

  addressOf(context) {
    const message = context.switchToRpc().getContext<TcpMessage | undefined>();
    const address = message?.getSocketRef?.()?.netSocket?.remoteAddress;
    return typeof address === 'string' ? address : undefined;
  },

  /** Nest has nobody to tell that an event failed but the log, which a flood of events must not fill. */
  async refusal(cause: HttpException, body: object, context: ExecutionContext): Promise<Error> {
    if (isEventHandler(context.getHandler())) return cause;
    const { RpcException } = await import('@nestjs/microservices');
    return Object.assign(new RpcException({ status: 'error', ...body }), { cause });
  },
};

/** The context is made for each message. */
function callHint(context: ExecutionContext): object | undefined {
  const rpc = context.switchToRpc();
  return objectIn(rpc.getContext()) ?? objectIn(rpc.getData());
}
