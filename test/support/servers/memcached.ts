import { join } from 'node:path';
import { ask, freePort, serverDirectory, startServer, type Server } from './server-process.js';

/** @param options.socket whether it listens on a socket file instead of a port */
export async function startMemcached({
  socket = false,
  args = [],
}: { socket?: boolean; args?: readonly string[] } = {}): Promise<Server> {
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
    ready: async () => (await ask(socket ? path : port, 'version\r\n')).startsWith('VERSION'),
  });
}
