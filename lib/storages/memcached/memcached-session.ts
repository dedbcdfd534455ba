import { performance } from 'node:perf_hooks';
import type { Socket } from 'node:net';
import { messageOf } from '../../common/describe.js';
import { startDeadline } from '../../common/time.js';
import { readReply, type MemcachedReply } from './memcached-reply.js';

/** Returns true if a line can be the reply to a command. */
export type Expectation = (line: string) => boolean;

/** A command in flight. */
interface Pending {
  readonly expects: Expectation;
  /** End of its timeout, by `performance.now()`. */
  readonly due: number;
  readonly resolve: (reply: MemcachedReply) => void;
  readonly reject: (error: Error) => void;
}

/** Idle time before TCP keep-alive, in ms, so that no firewall drops an idle connection. */
const KEEP_ALIVE_DELAY_MS = 60_000;

/**
 * One connection. Commands are pipelined, and replies arrive in the same order. A late or
 * unexpected reply therefore ends the session: later replies could not be matched to their
 * commands. The session ends once, and rejects every command in flight.
 */
export class MemcachedSession {
  readonly #pending: Pending[] = [];
  #outgoing = '';
  #input = '';
  #cancelDeadline: (() => void) | undefined;
  readonly #begin = performance.now();
  #answered = false;
  #failure: Error | undefined;

  /**
   * @param socket may still be connecting
   * @param server name in errors
   * @param timeout timeout of a command, in ms
   */
  constructor(
    private readonly socket: Socket,
    private readonly server: string,
    private readonly timeout: number,
    private readonly onEnd: () => void,
  ) {
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_DELAY_MS);
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => this.#receive(chunk));
    socket.on('error', (cause: NodeJS.ErrnoException) =>
      // The error of a host with several addresses has no message.
      this.end(new Error(`The connection to ${server} failed: ${cause.message || cause.code}.`, { cause })),
    );
    socket.on('close', () => this.end(new Error(`${server} has closed the connection.`)));
  }

  /** Ms since the session began. */
  get age(): number {
    return performance.now() - this.#begin;
  }

  /** True once the server has replied to a command. */
  get answered(): boolean {
    return this.#answered;
  }

  /** True while no command is in flight. */
  get idle(): boolean {
    return this.#pending.length === 0;
  }

  /** The error that ended the session, if it has ended. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /**
   * Sends a command and resolves with its reply.
   *
   * @param command Latin-1, one character per byte, including its line end
   */
  send(command: string, expects: Expectation): Promise<MemcachedReply> {
    return new Promise((resolve, reject) => {
      const due = performance.now() + this.timeout;
      this.#pending.push({ expects, due, resolve, reject });
      this.#cancelDeadline ??= startDeadline(due, () => this.#checkDeadline());
      // Flushes after the pending microtasks, so that their commands share one packet.
      if (this.#outgoing === '') process.nextTick(() => this.#flush());
      this.#outgoing += command;
    });
  }

  end(failure: Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = failure;
    this.#cancelDeadline?.();
    this.socket.destroy();
    this.onEnd();
    for (const { reject } of this.#pending.splice(0)) reject(failure);
  }

  #flush(): void {
    if (this.#failure === undefined) this.socket.write(this.#outgoing, 'latin1');
    this.#outgoing = '';
  }

  #receive(chunk: string): void {
    this.#input += chunk;
    try {
      let from = 0;
      for (;;) {
        const read = readReply(this.#input, from);
        if (read === undefined) break;
        this.#settle(read.reply);
        from = read.end;
      }
      this.#input = this.#input.slice(from);
    } catch (cause) {
      this.end(new Error(`${this.server} sent ${messageOf(cause)}.`, { cause }));
    }
  }

  #settle(reply: MemcachedReply): void {
    const [command] = this.#pending;
    if (command?.expects(reply.line)) {
      this.#answered = true;
      command.resolve(reply);
    } else if (command !== undefined && reply.line.startsWith('SERVER_ERROR ')) {
      command.reject(new Error(`${this.server} answered "${reply.line}".`)); // only this command failed, later replies still match
    } else {
      throw new Error(`the unexpected answer ${JSON.stringify(reply.line.slice(0, 80))}`);
    }
    this.#pending.shift();
  }

  #checkDeadline(): void {
    const [oldest] = this.#pending;
    if (oldest !== undefined && oldest.due <= performance.now()) {
      this.end(new Error(`${this.server} did not answer within ${this.timeout} ms.`));
    } else {
      this.#cancelDeadline = oldest && startDeadline(oldest.due, () => this.#checkDeadline());
    }
  }
}
