import { startDeadline } from '../common/time.js';

/** What has to happen by a time, unless it is called off. */
interface Deadline {
  readonly end: number;
  /** Absent once it has been met or missed. */
  miss: (() => void) | undefined;
}

/**
 * Deadlines of one length, which end in the order in which they begin: one timer serves them all, so that one costs next to
 * nothing.
 */
export class Deadlines {
  readonly #queue: Deadline[] = [];
  /** Where the oldest one is; those before it are over. */
  #head = 0;
  #callOff: (() => void) | undefined;

  /** @param length ms */
  constructor(private readonly length: number) {}

  /**
   * Begins a deadline.
   *
   * @param miss called once it has passed
   * @returns how to say that it was met; false when it was too late
   */
  begin(miss: () => void): () => boolean {
    const deadline: Deadline = { end: performance.now() + this.length, miss };
    this.#queue.push(deadline);
    this.#callOff ??= startDeadline(deadline.end, () => this.#end());
    return () => {
      const inTime = deadline.miss !== undefined;
      deadline.miss = undefined;
      return inTime;
    };
  }

  /** Keeps the process no longer, where nothing is waited for. */
  rest(): void {
    if (this.#queue.some(({ miss }) => miss !== undefined)) return;
    this.#callOff?.();
    this.#callOff = undefined;
    this.#queue.length = 0;
    this.#head = 0;
  }

  #end(): void {
    const now = performance.now();
    for (let next = this.#queue[this.#head]; next !== undefined; next = this.#queue[++this.#head]) {
      if (next.miss !== undefined && next.end > now) break;
      const { miss } = next;
      next.miss = undefined;
      miss?.();
    }
    this.#queue.splice(0, this.#head);
    this.#head = 0;
    const [oldest] = this.#queue;
    this.#callOff = oldest && startDeadline(oldest.end, () => this.#end());
  }
}
