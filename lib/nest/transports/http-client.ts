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
