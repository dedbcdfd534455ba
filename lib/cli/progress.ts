import type { Output } from './command.js';

const INTERVAL_MS = 250;
const CLEAR_LINE = '\r\u001b[K';

/** A line on a terminal that shows how far a command is. Writes nothing elsewhere. */
export class Progress {
  #shownAt = -Infinity;
  #isShown = false;

  constructor(
    private readonly output: Output,
    private readonly describe: () => string,
  ) {}

  /** Shows the line again, if it is a quarter of a second old. */
  update(): void {
    if (this.output.isTTY !== true) return;
    const now = performance.now();
    if (now - this.#shownAt < INTERVAL_MS) return;
    this.#shownAt = now;
    this.#isShown = true;
    const { columns = 80 } = this.output;
    this.output.write(`${CLEAR_LINE}${this.describe().slice(0, columns - 1)}`);
  }

  /** Removes the line. */
  end(): void {
    if (this.#isShown) this.output.write(CLEAR_LINE);
    this.#isShown = false;
  }
}
