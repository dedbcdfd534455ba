import { join } from 'node:path';
import { ask, freePort, serverDirectory, startServer, type Server } from './server-process.js';

export interface StartMemcachedOptions {
  /** True to listen on a socket file instead of a port. */
  readonly socket?: boolean;
  /** More arguments of `memcached`. */
  readonly args?: readonly string[];
  /**
   * Returns true once the server at a port or socket file serves. Default: it replies with its
   * version.
   */
  readonly ready?: (address: number | string) => Promise<boolean>;
}

export async function startMemcached({
  socket = false,
  args = [],
  ready = tellsVersion,
}: StartMemcachedOptions = {}): Promise<Server> {
  const directory = serverDirectory('memcached');
  const path = join(directory, 'socket');
  const port = socket ? 0 : await freePort();
  return startServer({
    name: 'memcached',
    command: 'memcached',
    args: [
      '-u',
      'root',
      ...(socket ? ['-s', path] : ['-l', '127.0.0.1', '-p', String(port), '-U', '0']),
      ...args,
    ],
    directory,
    port,
    uri: socket ? `memcached://${path}` : `memcached://127.0.0.1:${port}`,
    ready: () => ready(socket ? path : port),
  });
}

async function tellsVersion(address: number | string): Promise<boolean> {
  return (await ask(address, 'version\r\n')).startsWith('VERSION');
}
