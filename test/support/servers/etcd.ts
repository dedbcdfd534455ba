import { join } from 'node:path';
import { freePort, serverDirectory, startServer, type Server } from './server-process.js';

export async function startEtcd(): Promise<Server> {
  const directory = serverDirectory('etcd');
  const [port, peerPort] = [await freePort(), await freePort()];
  const [client, peer] = [`http://127.0.0.1:${port}`, `http://127.0.0.1:${peerPort}`];
  return startServer({
    name: 'etcd',
    command: 'etcd',
    args: [
      ...['--name', 'test', '--data-dir', join(directory, 'data')],
      ...['--listen-client-urls', client, '--advertise-client-urls', client],
      ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer],
      ...['--initial-cluster', `test=${peer}`],
      '--unsafe-no-fsync', // only matters when the machine crashes
    ],
    directory,
    port,
    uri: `etcd://127.0.0.1:${port}`,
    ready: async () => {
      const response = await fetch(`${client}/health`, { signal: AbortSignal.timeout(1000) });
      return ((await response.json()) as { health: string }).health === 'true';
    },
  });
}

/** Returns the version of the server. */
export async function etcdVersion({ port }: Server): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}/version`);
  return ((await response.json()) as { etcdserver: string }).etcdserver;
}
