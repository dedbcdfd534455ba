import { performance } from 'node:perf_hooks';
import type { Socket } from 'node:net';
import type { MemcachedReply } from './memcached-reply.js';
import { MemcachedSession, type Expectation } from './memcached-session.js';

export interface ConnectionOptions {
  /** Name of the server in errors. */
  readonly name: string;
  /** Timeout of a command in ms, including the time to connect. */
  readonly timeout: number;
  /** Starts to connect. */
  readonly connect: () => Socket;
  /** First command on every connection; the server must reply `STORED`. Empty for none. */
  readonly greeting: string;
}

/**
 * Pause after a failure, in ms. It doubles with each further failure, up to the maximum, until the
 * server replies.
 */
const FIRST_PAUSE_MS = 50;
const MAX_PAUSE_MS = 1000;

/** Ms that a new connection may take before `reconnect` replaces it: TLS and a login may be slow. */
const CONNECT_GRACE_MS = 1000;

/**
 * The connection to one server. The first command opens it, and the first one after a failure and a
 * short pause opens the next. Commands during the pause fail immediately, so that none pile up. No
 * command is sent twice.
 */
export class MemcachedConnection {
  readonly name: string;
  #session: MemcachedSession | undefined;
  #failures = 0;
  #pauseEnd = 0;

  constructor(private readonly options: ConnectionOptions) {
    this.name = options.name;
  }

  /** Sends a command and resolves with its reply. */
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

  /**
   * Closes the connection if it does not respond, unless it is new. The next command opens another,
   * without a pause.
   */
  reconnect(): void {
    const session = this.#session;
    if (session !== undefined && (session.answered ? !session.idle : session.age > CONNECT_GRACE_MS)) {
      session.end(new Error(`The connection to ${this.name} was given up, for it did not answer.`));
    }
    this.#failures = 0;
    this.#pauseEnd = 0;
  }

  /** Closes the connection. Commands in flight reject with the error. */
  close(error: Error): void {
    this.#session?.end(error);
  }

  #open(): MemcachedSession {
    const { name, timeout, connect, greeting } = this.options;
    const session = new MemcachedSession(connect(), name, timeout, () => this.#pause(session));
    // A refused login ends the session, and so every command rejects.
    if (greeting !== '') session.send(greeting, (line) => line === 'STORED').catch(() => undefined);
    return session;
  }

  #pause(session: MemcachedSession): void {
    // Closing an idle connection is not a failure.
    if (session.answered && session.idle) return;
    this.#failures = session.answered ? 1 : this.#failures + 1;
    this.#pauseEnd = performance.now() + Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (this.#failures - 1));
  }
}
