import type { BatchResult } from '../../core/contract.js';
import type { PlannedBatch, Step } from './decision-call.js';

/** A batch waiting to be sent. */
export interface WaitingBatch {
  readonly batch: PlannedBatch;
  /** When the call was made, by `performance.now()`. */
  readonly since: number;
  readonly resolve: (result: BatchResult) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Maximum batches in one call: enough to spread the cost of a call, few enough to hold locks
 * briefly.
 */
const MAX_GATHERED = 64;

/**
 * Gathers the batches of one turn of the event loop into one call per step. Batches that arrive
 * while all connections are busy wait for the next call.
 */
export class CallGatherer {
  readonly #waiting = new Map<Step, WaitingBatch[]>();
  #calls = 0;
  #scheduled = false;

  /**
   * @param concurrency maximum calls in flight
   * @param send resolves or rejects every batch passed to it, and never rejects itself
   */
  constructor(
    private readonly concurrency: number,
    private readonly send: (step: Step, waiting: readonly WaitingBatch[]) => Promise<void>,
  ) {}

  add(step: Step, batch: PlannedBatch, since = performance.now()): Promise<BatchResult> {
    return new Promise((resolve, reject) => {
      const waiting = this.#waiting.get(step);
      const entry = { batch, since, resolve, reject };
      if (waiting === undefined) this.#waiting.set(step, [entry]);
      else waiting.push(entry);
      if (this.#scheduled) return;
      this.#scheduled = true;
      setImmediate(() => {
        this.#scheduled = false;
        this.#sendAll();
      });
    });
  }

  #sendAll(): void {
    while (this.#calls < this.concurrency) {
      const [next] = [...this.#waiting].sort(([, one], [, other]) => oldest(one) - oldest(other));
      if (next === undefined) return;
      const [step, waiting] = next;
      const gathered = waiting.splice(0, MAX_GATHERED);
      if (waiting.length === 0) this.#waiting.delete(step);
      this.#calls++;
      void this.send(step, gathered).finally(() => {
        this.#calls--;
        this.#sendAll();
      });
    }
  }
}

function oldest([first]: readonly WaitingBatch[]): number {
  return first?.since ?? Infinity;
}
