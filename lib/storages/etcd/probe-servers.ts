import { connect } from 'node:net';
import type { HostAndPort } from '../storage-uri.js';

/** What every HTTP/2 connection begins with: the preface, and settings, of which there are none. */
const GREETING = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0', 'latin1');

/**
 * Whether a server at one of some addresses says anything, or hangs up, as one with TLS does: then it is there. One that stands still,
 * or that only something on the way accepts connections for, does neither.
 *
 * @param patience ms
 */
export async function probeServers(addresses: readonly HostAndPort[], patience: number): Promise<boolean> {
  const answers = await Promise.all(addresses.map((address) => answersAt(address, patience)));
  return answers.includes(true);
}

function answersAt(address: HostAndPort, patience: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(address, () => socket.write(GREETING));
    const timer = setTimeout(() => settle(false), patience);
    const settle = (answer: boolean): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    };
    socket.unref();
    timer.unref();
    socket.on('error', () => settle(false));
    socket.once('data', () => settle(true)).once('end', () => settle(true));
  });
}
