import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface LocalRedis {
  readonly uri: string;
  /** Stops the server. It keeps no data. */
  stop(): Promise<void>;
}

/**
 * Starts a Redis server that listens on a socket file in a temporary folder.
 *
 * @returns `undefined` if Redis is not installed
 */
export async function startRedis(): Promise<LocalRedis | undefined> {
  const folder = mkdtempSync(join(tmpdir(), 'nestjs-limits-redis-'));
  const deleteFolder = (): void => rmSync(folder, { recursive: true, force: true });
  const socket = join(folder, 'redis.sock');
  const server = spawn(
    'redis-server',
    ['--port', '0', '--unixsocket', socket, '--dir', folder, '--save', '', '--appendonly', 'no'],
    { stdio: 'ignore', detached: true }, // an interrupt from the keyboard is for this process, which stops the server last
  );
  process.once('exit', () => {
    server.kill('SIGKILL'); // if the sample fails
    deleteFolder();
  });
  try {
    await once(server, 'spawn');
  } catch (error) {
    deleteFolder();
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return undefined;
  }
  const stopped = once(server, 'exit');
  while (!existsSync(socket)) {
    if (server.exitCode !== null) throw new Error('The Redis server did not start.');
    await sleep(50);
  }
  return {
    uri: `redis+unix://${socket}`,
    async stop() {
      server.kill();
      await stopped;
      deleteFolder();
    },
  };
}
