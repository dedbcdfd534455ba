/** Holds handlers until it is opened. */
export class Gate {
  /** Handlers that wait. */
  waiting = 0;
  /** Handlers that have come so far. */
  entered = 0;
  #open!: () => void;
  #opened!: Promise<void>;

  constructor() {
    this.#close();
  }

  /** Waits until the gate is opened. */
  async pass(): Promise<void> {
    this.waiting++;
    this.entered++;
    await this.#opened;
    this.waiting--;
  }

  /** Lets all handlers that wait pass; later ones wait again. */
  open(): void {
    this.#open();
    this.#close();
  }

  #close(): void {
    this.#opened = new Promise((resolve) => {
      this.#open = resolve;
    });
  }
}
