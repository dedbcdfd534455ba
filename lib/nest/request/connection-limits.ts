import { HttpException, Inject, Injectable, type Type } from '@nestjs/common';
import { isPromise, type Awaitable } from '../../common/awaitable.js';
import { messageOf } from '../../common/describe.js';
import { logger } from '../options/warnings.js';
import { HandlerContext } from '../transports/handler-context.js';
import { RequestLimiter } from './request-limiter.js';
import type { RouteHandler } from '../transports/transport.js';
import { admit } from '../transports/ws.transport.js';

/** A connection of Socket.IO or of `ws`, as far as it takes to end it. */
interface Connection {
  /** Of Socket.IO. */
  disconnect?(close: boolean): unknown;
  emit(event: string, data: object): unknown;
  /** Of `ws`. */
  send(data: string): unknown;
  close(code: number, reason: string): unknown;
}

/** The codes that end a WebSocket: RFC 6455 and the registry of IANA. */
const INTERNAL_ERROR = 1011;
const TRY_AGAIN_LATER = 1013;

/** So many bytes fit into the frame that ends a WebSocket, beside the code. */
const MAX_REASON_BYTES = 123;

/** Lets connections to gateways in, or ends them. */
@Injectable()
export class ConnectionLimits {
  constructor(@Inject(RequestLimiter) private readonly limiter: RequestLimiter) {}

  /**
   * Whether a connection is let in. Never fails: nobody would catch it.
   *
   * @param args what the gateway's handler is called with: the connection, and with `ws` the request that opened it
   */
  isAdmitted(gateway: Type, handler: RouteHandler, args: unknown[]): Awaitable<boolean> {
    const connection = args[0] as Connection;
    const refuse = (error: unknown): false => this.#end(connection, error);
    try {
      const answer = this.limiter.check(new HandlerContext('ws', args, gateway, handler), 'afterAuth');
      if (answer === true) return true;
      const isAdmitted = isPromise(answer) ? Promise.resolve(answer).catch(refuse) : answer;
      admit(connection, isAdmitted);
      return isAdmitted;
    } catch (error) {
      admit(connection, false);
      return refuse(error);
    }
  }

  #end(connection: Connection, error: unknown): false {
    const refusal = refusalIn(error);
    if (refusal === undefined)
      logger.error(`A connection was ended, because counting it failed: ${messageOf(error)}`);
    const body = refusal ?? { status: 'error', message: 'Internal server error' };
    try {
      if (connection.disconnect === undefined) {
        connection.send(JSON.stringify({ event: 'exception', data: body }));
        const code = refusal === undefined ? INTERNAL_ERROR : TRY_AGAIN_LATER;
        connection.close(code, reasonOf(body));
      } else {
        connection.emit('exception', body);
        connection.disconnect(true);
      }
    } catch (cause) {
      logger.error(`A refused connection could not be ended: ${messageOf(cause)}`);
    }
    return false;
  }
}

/** What a refusal says to the client; `undefined` for any other error. */
function refusalIn(error: unknown): object | undefined {
  const { getError } = (error ?? {}) as { getError?: () => string | object };
  if (typeof getError === 'function') return describe(getError.call(error));
  if (error instanceof HttpException && error.getStatus() < 500) return describe(error.getResponse());
  return undefined;
}

function describe(response: string | object): object {
  return typeof response === 'string'
    ? { status: 'error', message: response }
    : { status: 'error', ...response };
}

/** What is left of a longer text ends with a whole character. */
function reasonOf({ message }: { message?: unknown }): string {
  const bytes = new TextEncoder().encode(typeof message === 'string' ? message : 'Refused');
  return new TextDecoder().decode(bytes.subarray(0, MAX_REASON_BYTES), { stream: true });
}
