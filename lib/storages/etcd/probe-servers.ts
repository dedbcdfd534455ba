import { connect } from 'node:net';
import type { HostAndPort } from '../storage-uri.js';

/** The start of every HTTP/2 connection: the preface and an empty SETTINGS frame. */
const GREETING = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0', 'latin1');

/**
 * Returns true if one of the servers replies to an HTTP/2 preface or closes the connection, as a
 * server with TLS does. A server that is stopped does neither, nor does a proxy without a server
 * behind it.
 *
 * @param timeout ms
 */
export async function probeServers(addresses: readonly HostAndPort[], timeout: number): Promise<boolean> {
  const replies = await Promise.all(addresses.map((address) => probeServer(address, timeout)));
  return replies.includes(true);
}

function probeServer(address: HostAndPort, timeout: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(address, () => socket.write(GREETING));
    const timer = setTimeout(() => settle(false), timeout);
    const settle = (replied: boolean): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(replied);
    };
    socket.unref();
    timer.unref();
    socket.on('error', () => settle(false));
    socket.once('data', () => settle(true)).once('end', () => settle(true));
  });
}
