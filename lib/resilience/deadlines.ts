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
  #timer: NodeJS.Timeout | undefined;

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
    this.#timer ??= this.#wake(this.length);
    return () => {
      const inTime = deadline.miss !== undefined;
      deadline.miss = undefined;
      return inTime;
    };
  }

  /** Keeps the process no longer, where nothing is waited for. */
  rest(): void {
    if (this.#queue.some(({ miss }) => miss !== undefined)) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#queue.length = 0;
    this.#head = 0;
  }

  /** A process that was busy reads the answers that have come meanwhile before it calls them late. */
  #wake(delay: number): NodeJS.Timeout {
    return setTimeout(() => setImmediate(() => this.#end()), delay);
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
    this.#timer = oldest === undefined ? undefined : this.#wake(oldest.end - now);
  }
}
