import { performance } from 'node:perf_hooks';
import type { Socket } from 'node:net';
import { messageOf } from '../../common/describe.js';
import { startDeadline } from '../../common/time.js';
import { readReply, type MemcachedReply } from './memcached-reply.js';

/** Whether a line can be the answer to a command. */
export type Expectation = (line: string) => boolean;

/** A command that has not been answered. */
interface Pending {
  readonly expects: Expectation;
  /** When its time is over, on the monotonic clock. */
  readonly due: number;
  readonly resolve: (reply: MemcachedReply) => void;
  readonly reject: (error: Error) => void;
}

/** Ms of silence after which a connection shows that it is still there, lest something on the way forgets it. */
const KEEP_ALIVE_DELAY_MS = 60_000;

/**
 * The life of one connection: commands go out at once, answers come back in the same order. So an answer that is late or
 * makes no sense ends it all, for whatever came next could not be told apart. It ends once, and with it every command that
 * has not been answered.
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
   * @param socket which may still be connecting
   * @param server its name in errors
   * @param timeout ms from a command to its answer
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
      // Where a host has several addresses, the error has no message.
      this.end(new Error(`The connection to ${server} failed: ${cause.message || cause.code}.`, { cause })),
    );
    socket.on('close', () => this.end(new Error(`${server} has closed the connection.`)));
  }

  /** Ms since it began. */
  get age(): number {
    return performance.now() - this.#begin;
  }

  /** Whether a command has ever been answered. */
  get answered(): boolean {
    return this.#answered;
  }

  /** Whether no command waits for its answer. */
  get idle(): boolean {
    return this.#pending.length === 0;
  }

  /** What ended it, if it has ended. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /**
   * Sends a command and resolves with its answer.
   *
   * @param command Latin-1, one byte a character, with its line end
   */
  send(command: string, expects: Expectation): Promise<MemcachedReply> {
    return new Promise((resolve, reject) => {
      const due = performance.now() + this.timeout;
      this.#pending.push({ expects, due, resolve, reject });
      this.#cancelDeadline ??= startDeadline(due, () => this.#checkDeadline());
      // After every promise that is settled by now has had its say: their commands share one packet.
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
      command.reject(new Error(`${this.server} answered "${reply.line}".`)); // its own failure: the rest is in step
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
