import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, writeFileSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** A server of a test's own. */
export interface Server {
  readonly uri: string;
  /** 0 where it listens on a socket file only. */
  readonly port: number;
  /** Of the process that runs now; to stop (SIGSTOP) and continue it, for example. */
  readonly pid: number;
  /** Ends it at once, and removes its data. */
  stop(): Promise<void>;
  /** Ends it at once, as a crash would. */
  kill(): Promise<void>;
  /** Starts it again where it was, with what it had written to its directory; kills it before, if it still runs. */
  restart(): Promise<void>;
}

export interface ServerProgram {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly directory: string;
  readonly uri: string;
  readonly port: number;
  /** Whether it serves; may throw when it does not. */
  readonly ready: () => Promise<boolean>;
  /** The user that it runs as. Default: that of the tests. */
  readonly user?: { readonly uid: number; readonly gid: number } | undefined;
  /** The signal that ends it at once. Default: SIGKILL. */
  readonly killSignal?: NodeJS.Signals;
}

/** How long a server may take to serve: even MongoDB needs a few seconds only, but the machine may be busy. */
const START_DEADLINE = 60_000;

/**
 * A directory of a server's own. It lies in the run's directory, where the supervisor finds the `pid` of whatever a test
 * that was interrupted has left running.
 */
export function serverDirectory(name: string): string {
  return mkdtempSync(join(process.env['TEST_SERVERS_DIR'] ?? tmpdir(), `${name}-`));
}

export async function startServer(program: ServerProgram): Promise<Server> {
  const { name, uri, port, directory } = program;
  let running = launch(program);
  const server: Server = {
    uri,
    port,
    get pid() {
      return running.process.pid ?? 0;
    },
    async kill() {
      running.process.kill(program.killSignal ?? 'SIGKILL');
      await running.exit;
    },
    async stop() {
      await server.kill();
      await rm(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
    },
    async restart() {
      await server.kill();
      running = launch(program);
      await untilReady(program, running);
    },
  };
  try {
    await untilReady(program, running);
  } catch (error) {
    const log = await readFile(join(directory, 'log'), 'utf8').catch(() => '');
    await server.stop();
    throw new Error(`${name} did not start. The end of its log:\n${log.slice(-2000)}`, { cause: error });
  }
  return server;
}

/** Waits until something holds, which may throw until then. */
export async function until(
  holds: () => Promise<boolean> | boolean,
  what: string,
  deadline = START_DEADLINE,
): Promise<void> {
  const end = Date.now() + deadline;
  let cause: unknown;
  do {
    try {
      if (await holds()) return;
    } catch (error) {
      cause = error;
    }
    await sleep(25);
  } while (Date.now() < end);
  throw new Error(`Waited ${deadline} ms in vain: ${what}.`, { cause });
}

/** Says something to a server, and hears the beginning of its answer. */
export function ask(address: number | string, text: string, patience = 5000): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = typeof address === 'number' ? connect(address, '127.0.0.1') : connect(address);
    const fail = (error: Error): void => {
      socket.destroy();
      reject(error);
    };
    socket.setTimeout(patience, () => fail(new Error(`No answer within ${patience} ms.`)));
    socket.on('error', fail);
    socket.on('connect', () => socket.write(text));
    socket.once('data', (data) => {
      socket.destroy();
      resolve(data.toString());
    });
  });
}

/**
 * A free port on which the one 10,000 above, a Redis cluster's second, is free as well. Both lie below those that the system
 * gives to outgoing connections, so that a server that restarts finds its port as it left it.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 12_000 + Math.floor(Math.random() * 10_000);
    if ((await isFree(port)) && (await isFree(port + 10_000))) return port;
  }
}

interface Running {
  readonly process: ChildProcess;
  readonly exit: Promise<void>;
}

function launch({ command, args, directory, user }: ServerProgram): Running {
  const log = openSync(join(directory, 'log'), 'a');
  const process = spawn(command, args, { cwd: directory, stdio: ['ignore', log, log], ...user });
  closeSync(log);
  if (process.pid !== undefined) writeFileSync(join(directory, 'pid'), String(process.pid));
  const exit = new Promise<void>((resolve) => {
    process.on('error', () => resolve());
    process.on('exit', () => resolve());
  });
  return { process, exit };
}

async function untilReady({ name, ready }: ServerProgram, { exit }: Running): Promise<void> {
  const ended = exit.then(() => {
    throw new Error(`${name} has ended.`);
  });
  await Promise.race([until(ready, `${name} to be ready`), ended]);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.on('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
