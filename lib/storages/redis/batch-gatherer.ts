import type { BatchResult } from '../../core/contract.js';
import type { BatchStep } from './batch-script.js';
import type { BatchPlan, PlannedBatch } from './batch-plan.js';

interface Waiting {
  readonly batch: PlannedBatch;
  readonly resolve: (result: BatchResult) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Calls the server once for several batches of one plan. Returns one result per batch, in order.
 */
export type GatheredCall = (
  plan: BatchPlan,
  step: BatchStep,
  batches: readonly PlannedBatch[],
) => Promise<readonly (BatchResult | Error)[]>;

/**
 * Maximum batches in one call: enough to amortize the cost of a call, few enough not to block the
 * server.
 */
const MAX_GATHERED = 64;

/**
 * Gathers the batches of one turn of the event loop into one call per plan, and per slot if a call
 * must not span slots.
 */
export class BatchGatherer {
  #queues = new Map<string, { plan: BatchPlan; step: BatchStep; waiting: Waiting[] }>();
  #scheduled = false;

  constructor(private readonly call: GatheredCall) {}

  /** @param group batches of different groups never share a call */
  add(plan: BatchPlan, step: BatchStep, batch: PlannedBatch, group: string): Promise<BatchResult> {
    return new Promise((resolve, reject) => {
      const name = `${plan.id} ${step} ${group}`;
      let queue = this.#queues.get(name);
      if (queue === undefined) {
        queue = { plan, step, waiting: [] };
        this.#queues.set(name, queue);
      }
      queue.waiting.push({ batch, resolve, reject });
      if (queue.waiting.length === MAX_GATHERED) {
        this.#queues.delete(name);
        void this.#send(queue.plan, queue.step, queue.waiting);
      } else if (!this.#scheduled) {
        this.#scheduled = true;
        setImmediate(() => this.#flush());
      }
    });
  }

  #flush(): void {
    const queues = this.#queues;
    this.#queues = new Map();
    this.#scheduled = false;
    for (const { plan, step, waiting } of queues.values()) void this.#send(plan, step, waiting);
  }

  async #send(plan: BatchPlan, step: BatchStep, waiting: readonly Waiting[]): Promise<void> {
    try {
      const results = await this.call(
        plan,
        step,
        waiting.map(({ batch }) => batch),
      );
      waiting.forEach(({ resolve, reject }, index) => {
        const result = results[index];
        if (result === undefined || result instanceof Error) reject(result);
        else resolve(result);
      });
    } catch (error) {
      for (const { reject } of waiting) reject(error);
    }
  }
}
