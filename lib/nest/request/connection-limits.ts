import { ForbiddenException, HttpException, Inject, Injectable, type Type } from '@nestjs/common';
import { chain, isPromise, type Awaitable } from '../../common/awaitable.js';
import { messageOf } from '../../common/describe.js';
import { logger, Warnings } from '../options/warnings.js';
import { CallSlots } from '../transports/call-slots.js';
import { HandlerContext } from '../transports/handler-context.js';
import { RequestLimiter } from './request-limiter.js';
import type { RouteHandler } from '../transports/transport.js';
import { admit, onDisconnect, wsTransport } from '../transports/ws.transport.js';

/** A connection of `ws`. */
interface PlainConnection {
  send(data: string): unknown;
  close(code: number, reason: string): unknown;
  terminate(): void;
  once(event: 'close', listener: () => void): unknown;
}

/** A connection of Socket.IO. */
interface SocketIoConnection {
  disconnect(close: boolean): unknown;
  emit(event: string, data: object): unknown;
  /** The transport of the connection; one by WebSocket has that as `socket`. */
  readonly conn?: { readonly transport?: { readonly socket?: Partial<PlainConnection> } };
}

type Connection = PlainConnection | SocketIoConnection;

/** Close codes of WebSockets, from RFC 6455 and the IANA registry. */
const POLICY_VIOLATION = 1008;
const INTERNAL_ERROR = 1011;
const TRY_AGAIN_LATER = 1013;

/** How long a refused client has to answer the close frame, in ms. `ws` itself waits for 30 s. */
const CLOSE_TIMEOUT_MS = 1000;

/** The message to the client of a refused connection. */
interface Refusal {
  readonly status: unknown;
  readonly statusCode?: unknown;
  readonly message?: unknown;
}

/** Longest reason in the close frame of a WebSocket, in bytes. */
const MAX_REASON_BYTES = 123;

/** Admits connections to gateways, or closes them. */
@Injectable()
export class ConnectionLimits {
  /** Connections that are checked, since each gateway on a server gets them. */
  readonly #allowed = new WeakMap<object, Awaitable<boolean>>();

  constructor(
    @Inject(RequestLimiter) private readonly limiter: RequestLimiter,
    @Inject(Warnings) private readonly warnings: Warnings,
  ) {}

  /**
   * Counts a connection, and closes it if a limit refuses it. Never throws, since nothing would
   * catch the error.
   *
   * @param args the arguments of the gateway's handler: the connection, and with `ws` the request
   * that opened it
   */
  isAdmitted(gateway: Type, handler: RouteHandler, args: unknown[]): Awaitable<boolean> {
    const [connection] = args as [Connection?];
    if (connection === undefined) {
      this.warnings.once(
        `no connection ${gateway.name}`,
        `${gateway.name}.handleConnection was called without a connection, so it is not limited. Pass the arguments on: super.handleConnection(client).`,
      );
      return true;
    }
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

  /**
   * Closes a connection whose client is denied. Returns a promise while the application's `clientIp`
   * resolves the address; messages wait for it. Never throws.
   */
  isAllowed(args: unknown[]): Awaitable<boolean> {
    const connection = args[0] as Connection;
    const known = this.#allowed.get(connection);
    if (known !== undefined) return known;
    const end = (error: unknown): false => this.#end(connection, error);
    let isAllowed: Awaitable<boolean>;
    try {
      const isDenied = this.limiter.isDenied(
        new HandlerContext('ws', args, ConnectionLimits, () => undefined),
      );
      const allowed = chain(isDenied, (denied) => (denied ? end(new ForbiddenException()) : true));
      isAllowed = isPromise(allowed) ? allowed.catch(end) : allowed;
    } catch (error) {
      isAllowed = end(error);
    }
    this.#allowed.set(connection, isAllowed);
    if (isAllowed !== true) admit(connection, isAllowed);
    return isAllowed;
  }

  #end(connection: Connection, error: unknown): false {
    const attempt = <T>(failure: string, call: () => T): T | undefined => {
      try {
        return call();
      } catch (cause) {
        logger.error(`${failure}: ${messageOf(cause)}`);
        return undefined;
      }
    };
    const refusal = attempt('The error of a refused connection could not be read', () => refusalIn(error));
    if (refusal === undefined)
      logger.error(`A connection was ended, because counting it failed: ${messageOf(error)}`);
    const body = refusal ?? { status: 'error', message: 'Internal server error' };
    attempt('A refused connection could not be told why', () => tell(connection, body));
    attempt('A refused connection could not be ended', () => close(connection, codeOf(refusal), body));
    return false;
  }
}

/** Holds the slots of a connection until it ends. */
function holdSlots(context: HandlerContext, connection: Connection): void {
  const slots = CallSlots.find(context, wsTransport);
  if (slots?.begin() === true) onDisconnect(connection, () => slots.end());
}

function tell(connection: Connection, body: Refusal): void {
  if ('disconnect' in connection) connection.emit('exception', body);
  else connection.send(JSON.stringify({ event: 'exception', data: body }));
}

/** Closes a connection, and terminates it if its client does not answer. */
function close(connection: Connection, code: number, body: Refusal): void {
  if ('disconnect' in connection) {
    const socket = connection.conn?.transport?.socket;
    connection.disconnect(true);
    if (socket?.terminate !== undefined) terminateLater(socket as PlainConnection);
    return;
  }
  connection.close(code, reasonOf(body));
  terminateLater(connection);
}

function terminateLater(connection: PlainConnection): void {
  const timer = setTimeout(() => connection.terminate(), CLOSE_TIMEOUT_MS);
  timer.unref();
  connection.once('close', () => clearTimeout(timer));
}

function codeOf(refusal: Refusal | undefined): number {
  if (refusal === undefined) return INTERNAL_ERROR;
  return refusal.statusCode === 403 ? POLICY_VIOLATION : TRY_AGAIN_LATER;
}

/** Returns the body of a refusal for the client; `undefined` for any other error. */
function refusalIn(error: unknown): Refusal | undefined {
  const { getError } = (error ?? {}) as { getError?: () => string | object };
  if (typeof getError === 'function') return describe(getError.call(error));
  if (error instanceof HttpException && error.getStatus() < 500) return describe(error.getResponse());
  return undefined;
}

function describe(response: string | object): Refusal {
  return typeof response === 'string'
    ? { status: 'error', message: response }
    : { status: 'error', ...response };
}

/** Truncates a message to the size of a close frame, without splitting a character. */
function reasonOf({ message }: Refusal): string {
  const bytes = new TextEncoder().encode(typeof message === 'string' ? message : 'Refused');
  return new TextDecoder().decode(bytes.subarray(0, MAX_REASON_BYTES), { stream: true });
}
