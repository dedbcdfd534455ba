import { MAX_TIMER_MS } from '../common/time.js';

/** What is renewed at an interval. */
interface Renewable {
  /** Ms between renewals. */
  readonly interval: number;
  renew(): void;
}

/** Part of an interval by which a renewal may be early, so that one run of the timer renews many. */
const EARLY = 1 / 8;

/** Renews slots at their intervals, by one timer. The timer does not keep the process alive. */
export class SlotRenewals<Slots extends Renewable> {
  /** By interval: the times at which slots are due, by `performance.now()`, in their order. */
  readonly #queues = new Map<number, Map<Slots, number>>();
  #timer: NodeJS.Timeout | undefined;
  /** When the timer fires. */
  #next = Infinity;

  /** Renews slots from now on, first after an interval. */
  add(slots: Slots): void {
    const { interval } = slots;
    const queue = this.#queues.get(interval) ?? new Map<Slots, number>();
    this.#queues.set(interval, queue);
    const due = performance.now() + interval;
    queue.delete(slots); // the latest is last
    queue.set(slots, due);
    if (due < this.#next) this.#wakeAt(due);
  }

  delete(slots: Slots): void {
    this.#queues.get(slots.interval)?.delete(slots);
  }

  /** Returns all slots that are renewed. */
  all(): Slots[] {
    return [...this.#queues.values()].flatMap((queue) => [...queue.keys()]);
  }

  #wakeAt(due: number): void {
    clearTimeout(this.#timer);
    this.#next = due;
    const wait = Math.min(MAX_TIMER_MS, Math.max(0, due - performance.now()));
    this.#timer = setTimeout(() => this.#renewDue(), wait).unref();
  }

  #renewDue(): void {
    const now = performance.now();
    this.#next = Infinity;
    for (const [interval, queue] of this.#queues) {
      for (const [slots, due] of [...queue]) {
        if (due > now + interval * EARLY) break;
        this.add(slots);
        slots.renew();
      }
      if (queue.size === 0) this.#queues.delete(interval);
    }
    const first = [...this.#queues.values()].map((queue) => [...queue.values()][0] ?? Infinity);
    const next = Math.min(...first);
    if (next < Infinity) this.#wakeAt(next);
  }
}
