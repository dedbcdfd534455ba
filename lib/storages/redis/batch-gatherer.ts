import type { BatchResult } from '../../core/contract.js';
import type { BatchStep } from './batch-script.js';
import type { BatchPlan, PlannedBatch } from './batch-plan.js';

/** Batches of one plan, step and group. */
interface Queue {
  readonly plan: BatchPlan;
  readonly step: BatchStep;
  readonly waiting: Waiting[];
}

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
  /** By plan, then by step and group. */
  #queues = new Map<BatchPlan, Map<string, Queue>>();
  #scheduled = false;

  constructor(private readonly call: GatheredCall) {}

  /** @param group batches of different groups never share a call */
  add(plan: BatchPlan, step: BatchStep, batch: PlannedBatch, group: string): Promise<BatchResult> {
    return new Promise((resolve, reject) => {
      const name = group === '' ? step : `${step} ${group}`;
      let queues = this.#queues.get(plan);
      if (queues === undefined) {
        queues = new Map();
        this.#queues.set(plan, queues);
      }
      let queue = queues.get(name);
      if (queue === undefined) {
        queue = { plan, step, waiting: [] };
        queues.set(name, queue);
      }
      queue.waiting.push({ batch, resolve, reject });
      if (queue.waiting.length === MAX_GATHERED) {
        queues.delete(name);
        void this.#send(queue);
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
    for (const queuesOfPlan of queues.values())
      for (const queue of queuesOfPlan.values()) void this.#send(queue);
  }

  async #send({ plan, step, waiting }: Queue): Promise<void> {
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
