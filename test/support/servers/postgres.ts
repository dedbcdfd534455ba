import { execFile } from 'node:child_process';
import { chmodSync, chownSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { Client, type QueryResultRow } from 'pg';
import { findProgram } from './programs.js';
import { freePort, serverDirectory, startServer, type Server } from './server-process.js';

const run = promisify(execFile);

export interface StartPostgresOptions {
  /** Settings of the server, such as `{ max_connections: '5' }`. */
  readonly settings?: Readonly<Record<string, string>>;
}

/**
 * Starts the installed PostgreSQL server, or the one in the folder POSTGRESQL_BIN.
 */
export function startPostgres({ settings = {} }: StartPostgresOptions = {}): Promise<Server> {
  return startIn(directoryOf('postgres'), settings);
}

/**
 * Starts a server that also listens on a socket file and accepts TLS, with a self-signed
 * certificate.
 */
export async function startPostgresWithSocketAndTls(): Promise<{
  server: Server;
  /** The directory of the socket file. */
  socket: string;
  /** File of the certificate, which is valid for `localhost` only. */
  ca: string;
}> {
  const directory = directoryOf('postgres-tls');
  const [key, ca] = [join(directory, 'key.pem'), join(directory, 'ca.pem')];
  await run('openssl', [
    ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-keyout', key, '-out', ca],
    ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'],
  ]);
  if (otherUser !== undefined) chownSync(key, otherUser.uid, otherUser.gid);
  const settings = { unix_socket_directories: directory, ssl: 'on', ssl_cert_file: ca, ssl_key_file: key };
  return { server: await startIn(directory, settings), socket: directory, ca };
}

async function startIn(directory: string, settings: Readonly<Record<string, string>>): Promise<Server> {
  const data = join(directory, 'data');
  const clusterOptions = [
    '-D',
    data,
    '-A',
    'trust',
    '-U',
    'postgres',
    '-E',
    'UTF8',
    '--locale=C',
    '--no-sync',
  ];
  await run(program('initdb'), clusterOptions, { cwd: directory, ...otherUser });
  const port = await freePort();
  const uri = `postgres://postgres@127.0.0.1:${port}/postgres`;
  // Without fsync, which matters only if the machine crashes.
  const all = { listen_addresses: '127.0.0.1', unix_socket_directories: '', fsync: 'off', ...settings };
  return startServer({
    name: 'postgres',
    command: program('postgres'),
    args: [
      ...['-D', data, '-p', String(port)],
      ...Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ],
    directory,
    port,
    uri,
    user: otherUser,
    killSignal: 'SIGQUIT', // ends all of its processes, as a crash does
    ready: async () => (await queryPostgres(uri, 'SELECT 1')).length === 1,
  });
}

/** Starts a PgBouncer in transaction mode in front of a server. */
export async function startPgBouncer({ port: serverPort }: Server): Promise<Server> {
  const directory = directoryOf('pgbouncer');
  const port = await freePort();
  const config = join(directory, 'pgbouncer.ini');
  const lines = [
    '[databases]',
    `* = host=127.0.0.1 port=${serverPort} user=postgres`,
    '[pgbouncer]',
    'listen_addr = 127.0.0.1',
    `listen_port = ${port}`,
    'unix_socket_dir =',
    'auth_type = any',
    'pool_mode = transaction',
    'default_pool_size = 5', // fewer than the clients have connections
  ];
  writeFileSync(config, lines.map((line) => `${line}\n`).join(''));
  const uri = `postgres://postgres@127.0.0.1:${port}/postgres`;
  return startServer({
    name: 'pgbouncer',
    command: program('pgbouncer'),
    args: [config],
    directory,
    port,
    uri,
    user: otherUser,
    ready: async () => (await queryPostgres(uri, 'SELECT 1')).length === 1,
  });
}

/** Pauses or continues a server with all of its processes. */
export function signalPostgres({ pid }: Server, signal: 'SIGSTOP' | 'SIGCONT'): void {
  process.kill(pid, signal);
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ');
  for (const child of children.filter((text) => /\d/.test(text))) process.kill(Number(child), signal);
}

/** Runs one statement on a new connection. */
export async function queryPostgres(
  uri: string,
  text: string,
  values?: unknown[],
): Promise<QueryResultRow[]> {
  return withPostgres(uri, async (client) => (await client.query(text, values)).rows);
}

/** Passes a new connection to `use`, and closes it afterwards. */
export async function withPostgres<T>(uri: string, use: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: uri, connectionTimeoutMillis: 2000 });
  client.on('error', () => undefined); // the server may end it
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}

export async function postgresVersion({ uri }: Server): Promise<string> {
  const [row] = await queryPostgres(uri, 'SHOW server_version');
  return String(row?.['server_version']);
}

function program(name: string): string {
  const folder = process.env['POSTGRESQL_BIN'];
  const path = folder && name !== 'pgbouncer' ? join(folder, name) : findProgram(name);
  if (path === undefined) throw new Error(`There is no ${name}.`);
  return path;
}

interface User {
  readonly uid: number;
  readonly gid: number;
}

/** The user of the servers if the tests run as root, which the servers refuse. */
const otherUser = process.getuid?.() === 0 ? nobody() : undefined;

function nobody(): User {
  const [, uid, gid] = /^nobody:[^:]*:(\d+):(\d+):/m.exec(readFileSync('/etc/passwd', 'utf8')) ?? [];
  return { uid: Number(uid), gid: Number(gid) };
}

/** Creates a directory that belongs to that user, in one that the user may enter. */
function directoryOf(name: string): string {
  const directory = serverDirectory(name);
  if (otherUser !== undefined) {
    chmodSync(dirname(directory), 0o711);
    chownSync(directory, otherUser.uid, otherUser.gid);
  }
  return directory;
}
