import { performance } from 'node:perf_hooks';
import type { Socket } from 'node:net';
import type { MemcachedReply } from './memcached-reply.js';
import { MemcachedSession, type Expectation } from './memcached-session.js';

export interface ConnectionOptions {
  /** What the server is called in errors. */
  readonly name: string;
  /** Ms from a command to its answer; connecting counts. */
  readonly timeout: number;
  /** Begins to connect. */
  readonly connect: () => Socket;
  /** Sent first on every connection, and answered with `STORED`; empty for nothing. */
  readonly greeting: string;
}

/** After a failure the server is left alone for so many ms; they double up to the longest until it answers again. */
const FIRST_PAUSE_MS = 50;
const MAX_PAUSE_MS = 1000;

/** Ms that a new connection has before it is given up for another: encryption and a login may take long. */
const CONNECT_GRACE_MS = 1000;

/**
 * The connection to one server: opened by the first command, and again by the first one after a failure and a short pause.
 * Commands that come within the pause fail at once, so that none pile up. None is ever sent twice.
 */
export class MemcachedConnection {
  readonly name: string;
  #session: MemcachedSession | undefined;
  #failures = 0;
  #pauseEnd = 0;

  constructor(private readonly options: ConnectionOptions) {
    this.name = options.name;
  }

  /** Sends a command and resolves with its answer. */
  async send(command: string, expects: Expectation): Promise<MemcachedReply> {
    const failure = this.#session?.failure;
    if (failure !== undefined && performance.now() < this.#pauseEnd) {
      throw new Error(`${this.name} has failed just now and is left alone for a moment: ${failure.message}`, {
        cause: failure,
      });
    }
    if (this.#session === undefined || failure !== undefined) this.#session = this.#open();
    return this.#session.send(command, expects);
  }

  /** Connects anew with the next command, unless the connection is well or has just been begun. */
  reconnect(): void {
    const session = this.#session;
    if (session !== undefined && (session.answered ? !session.idle : session.age > CONNECT_GRACE_MS)) {
      session.end(new Error(`The connection to ${this.name} was given up, for it did not answer.`));
    }
    this.#failures = 0;
    this.#pauseEnd = 0;
  }

  /** Ends the connection; what has not been answered fails with the error. */
  close(error: Error): void {
    this.#session?.end(error);
  }

  #open(): MemcachedSession {
    const { name, timeout, connect, greeting } = this.options;
    const session = new MemcachedSession(connect(), name, timeout, () => this.#pause(session));
    // A refusal ends the session, and every command says so.
    if (greeting !== '') session.send(greeting, (line) => line === 'STORED').catch(() => undefined);
    return session;
  }

  #pause(session: MemcachedSession): void {
    // Whoever ends a connection on which nothing is under way has not failed anybody: an idle one, for example.
    if (session.answered && session.idle) return;
    this.#failures = session.answered ? 1 : this.#failures + 1;
    this.#pauseEnd = performance.now() + Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (this.#failures - 1));
  }
}
