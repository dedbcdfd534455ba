import { HttpException, Inject, Injectable, type Type } from '@nestjs/common';
import { chain, isPromise, type Awaitable } from '../../common/awaitable.js';
import { messageOf } from '../../common/describe.js';
import { logger } from '../options/warnings.js';
import { CallSlots } from '../transports/call-slots.js';
import { HandlerContext } from '../transports/handler-context.js';
import { RequestLimiter } from './request-limiter.js';
import type { RouteHandler } from '../transports/transport.js';
import { admit, wsTransport } from '../transports/ws.transport.js';

/** The methods of a Socket.IO or `ws` connection that close it. */
interface Connection {
  /** Socket.IO only. */
  disconnect?(close: boolean): unknown;
  emit(event: string, data: object): unknown;
  once(event: 'disconnect' | 'close', listener: () => void): unknown;
  /** Socket.IO only. */
  readonly connected?: boolean;
  /** `ws` only. */
  send(data: string): unknown;
  close(code: number, reason: string): unknown;
  readonly readyState?: number;
}

/** State of a `ws` connection from which on it is closing. */
const CLOSING = 2;

/** Close codes of WebSockets, from RFC 6455 and the IANA registry. */
const INTERNAL_ERROR = 1011;
const TRY_AGAIN_LATER = 1013;

/** Longest reason in the close frame of a WebSocket, in bytes. */
const MAX_REASON_BYTES = 123;

/** Admits connections to gateways, or closes them. */
@Injectable()
export class ConnectionLimits {
  constructor(@Inject(RequestLimiter) private readonly limiter: RequestLimiter) {}

  /**
   * Counts a connection, and closes it if a limit refuses it. Never throws, since nothing would
   * catch the error.
   *
   * @param args the arguments of the gateway's handler: the connection, and with `ws` the request
   * that opened it
   */
  isAdmitted(gateway: Type, handler: RouteHandler, args: unknown[]): Awaitable<boolean> {
    const connection = args[0] as Connection;
    const refuse = (error: unknown): false => this.#end(connection, error);
    try {
      const context = new HandlerContext('ws', args, gateway, handler);
      const checked = chain(this.limiter.check(context, 'afterAuth'), (admitted) => {
        holdSlots(context, connection);
        return admitted;
      });
      if (checked === true) return true;
      const isAdmitted = isPromise(checked) ? checked.catch(refuse) : checked;
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

/** Holds the slots of a connection until it ends. */
function holdSlots(context: HandlerContext, connection: Connection): void {
  const slots = CallSlots.of(context, wsTransport);
  if (slots?.begin() !== true) return;
  const { connected, readyState = 0 } = connection;
  if (connected === false || readyState >= CLOSING) slots.end();
  else connection.once(connection.disconnect === undefined ? 'close' : 'disconnect', () => slots.end());
}

/** Returns the body of a refusal for the client; `undefined` for any other error. */
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

/** Truncates a message to the size of a close frame, without splitting a character. */
function reasonOf({ message }: { message?: unknown }): string {
  const bytes = new TextEncoder().encode(typeof message === 'string' ? message : 'Refused');
  return new TextDecoder().decode(bytes.subarray(0, MAX_REASON_BYTES), { stream: true });
}
