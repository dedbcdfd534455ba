import type { RequestOutcome } from '../../policies/policy.js';

/** A response, or the HTTP/2 stream of one. */
interface Closable {
  readonly destroyed?: boolean;
  readonly writableFinished?: boolean;
  once(event: 'finish' | 'close', listener: () => void): unknown;
}

/** The connection of an HTTP/1.1 request. */
interface Connection {
  readonly destroyed?: boolean;
  readonly readableEnded?: boolean;
  /** Absent when a test or a cloud platform injects requests. */
  once?(event: 'end' | 'close', listener: () => void): unknown;
}

/** The properties that Node's HTTP/1.1 and HTTP/2 responses have in common. */
export interface NodeResponse extends Closable {
  readonly statusCode: number;
  readonly headersSent: boolean;
  /** HTTP/2 only. */
  readonly stream?: Closable;
  readonly req?: { readonly socket?: Connection | null };
}

/** The unanswered requests of each connection. */
const unanswered = new WeakMap<Connection, Set<() => void>>();

/** By response or stream: the callbacks for the outcome of its request. */
const callbacks = new WeakMap<Closable, Set<(outcome: RequestOutcome) => void>>();

/**
 * Calls back exactly once with the outcome of a request: when the server has ended the response, or
 * when the client has closed the stream or the connection early. Calls back immediately if that has
 * already happened.
 *
 * The outcome is the status if the header was sent; otherwise the client has aborted the request.
 * The event `finish` alone is not enough: an HTTP/2 response emits it with the default status 200
 * when the client resets its stream.
 *
 * Listens once per response, however many callers there are, since an operation of GraphQL has many fields.
 */
export function onHttpAnswer(response: NodeResponse, tell: (outcome: RequestOutcome) => void): void {
  // An HTTP/2 response emits its own `finish` only when the stream closes.
  const ending = response.stream ?? response;
  const known = callbacks.get(ending);
  if (known !== undefined) {
    known.add(tell);
    return;
  }
  const connection = response.stream === undefined ? response.req?.socket : undefined;
  // The stream of a HEAD request is finished before the response.
  const isAnswered = response.headersSent && ending.writableFinished === true;
  if (ending.destroyed === true || isAnswered || hasLeft(connection)) {
    tell(outcomeOf(response));
    return;
  }
  const waiting = new Set([tell]);
  callbacks.set(ending, waiting);
  const settle = (): void => {
    if (!callbacks.delete(ending)) return;
    if (connection) unanswered.get(connection)?.delete(settle);
    const outcome = outcomeOf(response);
    for (const call of waiting) call(outcome);
  };
  ending.once('finish', () => {
    if (response.headersSent) settle();
  });
  ending.once('close', settle);
  if (connection) onLeave(connection, settle);
}

function outcomeOf({ headersSent, statusCode }: NodeResponse): RequestOutcome {
  return headersSent ? { success: statusCode < 400, statusCode } : { success: false, aborted: true };
}

function hasLeft(connection: Connection | null | undefined): boolean {
  return connection?.destroyed === true || connection?.readableEnded === true;
}

/**
 * Calls back when the client closes its side of the connection. After that Node drops the handler's
 * writes, but still counts them as sent. It also never closes the responses of pipelined requests
 * that are still queued.
 */
function onLeave(connection: Connection, listener: () => void): void {
  const known = unanswered.get(connection);
  if (known !== undefined) {
    known.add(listener);
    return;
  }
  const listeners = new Set([listener]);
  unanswered.set(connection, listeners);
  const callAll = (): void => {
    for (const call of listeners) call();
  };
  connection.once?.('end', callAll);
  connection.once?.('close', callAll);
}

/**
 * The properties of Node's HTTP/1.1 and HTTP/2 requests that show whether the client is connected.
 */
export interface NodeRequest {
  readonly socket?:
    | { readonly destroyed?: boolean; readonly remoteAddress?: unknown; readonly localAddress?: unknown }
    | undefined;
  /** HTTP/2 only. */
  readonly stream?: { readonly destroyed?: boolean; readonly closed?: boolean };
}

/**
 * Returns true if the client of a request is still connected. Detects a client that resets its
 * connection right after the request, before the socket is destroyed: a TCP socket without a peer
 * has a local address only. A unix socket has neither.
 */
export function hasClient({ socket, stream }: NodeRequest): boolean {
  if (stream?.destroyed === true || stream?.closed === true) return false;
  if (socket === undefined) return true;
  if (socket.destroyed === true) return false;
  return socket.remoteAddress !== undefined || socket.localAddress === undefined;
}
