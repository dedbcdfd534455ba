import { afterEach, beforeEach } from '@jest/globals';

/** The key of limits that count all clients together. */
export const everybody = { key: () => 'everybody' };

/** The work of handlers, which lasts until the test ends it. */
class HeldWork {
  /** Handlers that have begun. */
  begun = 0;
  ended!: Promise<void>;
  end!: () => void;

  constructor() {
    this.reset();
  }

  /** Does the work of a handler; returns its result. */
  async do<T>(result: T): Promise<T> {
    this.begun++;
    await this.ended;
    return result;
  }

  reset(): void {
    this.begun = 0;
    this.ended = new Promise((resolve) => {
      this.end = resolve;
    });
  }
}

/** Returns work that each test of a file holds anew, and that ends with the test at the latest. */
export function holdWork(): HeldWork {
  const work = new HeldWork();
  beforeEach(() => work.reset());
  afterEach(() => work.end());
  return work;
}
