import { spawn, spawnSync, type SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Where packages of Debian and Ubuntu install each version of the server. */
const VERSIONS = '/usr/lib/postgresql';
const START_TIMEOUT_MS = 60_000;

export interface LocalPostgreSQL {
  readonly uri: string;
  /** Stops the server and deletes its data. */
  stop(): Promise<void>;
}

/**
 * Starts a PostgreSQL server on a free port, with its data in a temporary folder.
 *
 * @returns `undefined` if PostgreSQL is not installed
 */
export async function startPostgreSQL(): Promise<LocalPostgreSQL | undefined> {
  const bin = process.env['POSTGRESQL_BIN'] ?? installedBin();
  if (bin === undefined || !existsSync(join(bin, 'postgres'))) return undefined;

  const folder = mkdtempSync(join(tmpdir(), 'nestjs-limits-postgresql-'));
  const user = otherUser();
  if (user !== undefined) chownSync(folder, user.uid, user.gid);
  const options = { cwd: folder, ...user };
  const data = join(folder, 'data');
  run(join(bin, 'initdb'), ['-D', data, '-A', 'trust', '-U', 'postgres', '--no-sync'], options);

  const port = await freePort();
  const settings = ['listen_addresses=127.0.0.1', 'unix_socket_directories='];
  const server = spawn(
    join(bin, 'postgres'),
    ['-D', data, '-p', String(port), ...settings.flatMap((setting) => ['-c', setting])],
    { ...options, stdio: 'ignore' },
  );
  const stopped = once(server, 'exit');
  const deleteData = (): void => rmSync(folder, { recursive: true, force: true });
  process.once('exit', () => {
    server.kill('SIGQUIT'); // if the sample fails
    deleteData();
  });
  const isReady = ['-h', '127.0.0.1', '-p', String(port), '-q'];
  for (const end = Date.now() + START_TIMEOUT_MS; spawnSync(join(bin, 'pg_isready'), isReady).status !== 0;) {
    if (server.exitCode !== null || Date.now() > end) throw new Error('The PostgreSQL server did not start.');
    await sleep(100);
  }
  return {
    uri: `postgres://postgres@127.0.0.1:${port}/postgres`,
    async stop() {
      server.kill('SIGINT'); // disconnects all clients
      await stopped;
      deleteData();
    },
  };
}

function installedBin(): string | undefined {
  if (!existsSync(VERSIONS)) return undefined;
  const versions = readdirSync(VERSIONS).sort((one, other) => Number(other) - Number(one));
  return versions
    .map((version) => join(VERSIONS, version, 'bin'))
    .find((bin) => existsSync(join(bin, 'postgres')));
}

/** PostgreSQL does not run as root: uses its own user, or else "nobody". */
function otherUser(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const idOf = (flag: string, user: string): number =>
    Number(spawnSync('id', [flag, user], { encoding: 'utf8' }).stdout || NaN);
  const user = ['postgres', 'nobody'].find((name) => idOf('-u', name) > 0);
  return user === undefined ? undefined : { uid: idOf('-u', user), gid: idOf('-g', user) };
}

function run(program: string, args: readonly string[], options: SpawnOptions): void {
  const { status, stderr } = spawnSync(program, args, { ...options, stdio: 'pipe', encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program} failed: ${stderr}`);
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  return port;
}
