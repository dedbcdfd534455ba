import { startDeadline } from './time.js';

/** Fewest deadlines that are dropped together. */
const MIN_DROPPED = 64;

/** A deadline with its callback. */
interface Deadline {
  readonly end: number;
  /** `undefined` once the deadline has been met or missed. */
  miss: (() => void) | undefined;
}

/**
 * Deadlines of one length. They end in the order in which they start, so one timer serves all of
 * them.
 */
export class Deadlines {
  readonly #queue: Deadline[] = [];
  /** Index in `#queue`. The deadlines before it are over. */
  #head = 0;
  #callOff: (() => void) | undefined;
  #isResting = false;

  /** @param length ms */
  constructor(private readonly length: number) {}

  /**
   * Starts a deadline.
   *
   * @param miss called when the deadline has passed
   * @returns a function that ends the deadline; it returns false if the deadline has already passed
   */
  begin(miss: () => void): () => boolean {
    const deadline: Deadline = { end: performance.now() + this.length, miss };
    this.#queue.push(deadline);
    this.#callOff ??= startDeadline(deadline.end, () => this.#end());
    return () => {
      const inTime = deadline.miss !== undefined;
      deadline.miss = undefined;
      this.#dropOver();
      if (this.#isResting) this.#clearIfIdle();
      return inTime;
    };
  }

  /** Returns the reply of a call, or rejects when the deadline has passed. A late reply is ignored. */
  bound<T>(reply: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const end = this.begin(() => reject(new Error(`no answer within ${this.length} ms`)));
      reply.then(
        (value) => {
          end();
          resolve(value);
        },
        () => {
          end();
          resolve(reply); // rejects with the original reason, which need not be an Error
        },
      );
    });
  }

  /** Clears the timer as soon as it is idle, so that the process can exit. */
  rest(): void {
    this.#isResting = true;
    this.#clearIfIdle();
  }

  #clearIfIdle(): void {
    if (this.#queue.some(({ miss }) => miss !== undefined)) return;
    this.#callOff?.();
    this.#callOff = undefined;
    this.#queue.length = 0;
    this.#head = 0;
  }

  #end(): void {
    const now = performance.now();
    let oldest = this.#dropOver();
    while (oldest !== undefined && oldest.end <= now) {
      const { miss } = oldest;
      oldest.miss = undefined;
      miss?.();
      oldest = this.#dropOver();
    }
    this.#callOff = oldest && startDeadline(oldest.end, () => this.#end());
  }

  /** Drops the deadlines before the oldest that is not over, once they are half of the queue. Returns that one. */
  #dropOver(): Deadline | undefined {
    const queue = this.#queue;
    while (this.#head < queue.length && queue[this.#head]?.miss === undefined) this.#head++;
    if (this.#head >= MIN_DROPPED && 2 * this.#head >= queue.length) {
      queue.splice(0, this.#head);
      this.#head = 0;
    }
    return queue[this.#head];
  }
}
