import { rejectOnAbort } from './in-flight-calls.js';

/** Lets so many calls on one key go at once; the others wait for their turn, in order, and keep nobody from other keys. */
export class KeyedSemaphore {
  /** By key: how many are under way, and who waits. */
  readonly #lines = new Map<string, { underWay: number; readonly waiting: (() => void)[] }>();

  constructor(private readonly atOnce: number) {}

  /**
   * Calls when it is the key's turn.
   *
   * @param late ends the turn, also of a call that never ends; one that has not begun by then never does
   */
  async pass<T>(key: string, late: AbortSignal, call: () => Promise<T>): Promise<T> {
    await this.#enter(key);
    try {
      late.throwIfAborted();
      return await Promise.race([call(), rejectOnAbort(late)]);
    } finally {
      this.#leave(key);
    }
  }

  #enter(key: string): Promise<void> | undefined {
    let line = this.#lines.get(key);
    if (line === undefined) this.#lines.set(key, (line = { underWay: 0, waiting: [] }));
    if (line.underWay < this.atOnce) {
      line.underWay++;
      return undefined;
    }
    const { waiting } = line;
    return new Promise((resolve) => {
      waiting.push(resolve);
    });
  }

  #leave(key: string): void {
    const line = this.#lines.get(key);
    if (line === undefined) return;
    const next = line.waiting.shift(); // who takes over the place
    if (next !== undefined) next();
    else if (--line.underWay === 0) this.#lines.delete(key);
  }
}
