import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, writeFileSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** A private server of a test. */
export interface Server {
  readonly uri: string;
  /** 0 if it listens on a socket file only. */
  readonly port: number;
  /** Id of the current process, for example to stop (SIGSTOP) and continue it. */
  readonly pid: number;
  /** Kills the server and removes its data. */
  stop(): Promise<void>;
  /** Kills the server, like a crash. */
  kill(): Promise<void>;
  /**
   * Kills the server if it runs, and starts it again at the same address with the data in its
   * directory.
   */
  restart(): Promise<void>;
}

export interface ServerProgram {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** Environment variables, in addition to those of this process. */
  readonly env?: Readonly<Record<string, string>>;
  readonly directory: string;
  readonly uri: string;
  readonly port: number;
  /** Returns true once the server serves. May throw before. */
  readonly ready: () => Promise<boolean>;
  /** The user that it runs as. Default: that of the tests. */
  readonly user?: { readonly uid: number; readonly gid: number } | undefined;
  /** The signal that ends it at once. Default: SIGKILL. */
  readonly killSignal?: NodeJS.Signals;
}

/** Timeout of a start in ms. Even MongoDB needs only a few seconds, but the machine may be busy. */
const START_DEADLINE = 60_000;

/**
 * Creates a directory for a server inside the run's directory. After an interrupted test, the
 * supervisor reads the server's `pid` there.
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

/** Waits until a condition is true. The condition may throw before. */
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

/** Sends a text to a server. Returns the first packet of its reply. */
export function ask(address: number | string, text: string, timeout = 5000): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = typeof address === 'number' ? connect(address, '127.0.0.1') : connect(address);
    const fail = (error: Error): void => {
      socket.destroy();
      reject(error);
    };
    socket.setTimeout(timeout, () => fail(new Error(`No answer within ${timeout} ms.`)));
    socket.on('error', fail);
    socket.on('connect', () => socket.write(text));
    socket.once('data', (data) => {
      socket.destroy();
      resolve(data.toString());
    });
  });
}

/**
 * Returns a free port such that the port 10,000 above, the bus of a Redis cluster, is free too.
 * Both are below the ephemeral ports of outgoing connections, so that they are still free when the
 * server restarts.
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

function launch({ command, args, env, directory, user }: ServerProgram): Running {
  const log = openSync(join(directory, 'log'), 'a');
  const process = spawn(command, args, {
    cwd: directory,
    env: { ...globalThis.process.env, ...env },
    stdio: ['ignore', log, log],
    ...user,
  });
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

/** Returns whether a server listens at a port. */
export function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => resolve(false));
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.on('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
