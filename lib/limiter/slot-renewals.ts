import { MAX_TIMER_MS } from '../common/time.js';

/** Slots that are renewed at an interval. */
interface Renewable {
  /** Ms between renewals. */
  readonly interval: number;
  renew(): void;
}

/**
 * A place in the list of the slots that are renewed at the same interval. The list is a linked one: a `Map` that often changes leaves
 * tables behind that keep its entries alive until the next full garbage collection.
 */
export class RenewalPlace<Slots> {
  /** When the slots are due, by `performance.now()`. */
  due = Infinity;
  next: RenewalPlace<Slots> = this;
  #previous: RenewalPlace<Slots> = this;

  /** @param slots `undefined` for the place that is both before the first and after the last */
  constructor(readonly slots: Slots | undefined) {}

  moveBefore(place: RenewalPlace<Slots>): void {
    this.leave();
    this.next = place;
    this.#previous = place.#previous;
    place.#previous.next = this;
    place.#previous = this;
  }

  /** Leaves the list, without references to others that the garbage collector would keep. */
  leave(): void {
    this.#previous.next = this.next;
    this.next.#previous = this.#previous;
    this.next = this;
    this.#previous = this;
  }
}

/** Renews slots at their intervals, by one timer. The timer does not keep the process alive. */
export class SlotRenewals<Slots extends Renewable> {
  /** By interval: the end of the list, whose `next` is the place that is due first. */
  readonly #ends = new Map<number, RenewalPlace<Slots>>();
  #timer: NodeJS.Timeout | undefined;
  /** When the timer fires. */
  #next = Infinity;

  /** Renews slots from now on, first after an interval, until their place leaves the list. */
  add(slots: Slots): RenewalPlace<Slots> {
    const place = new RenewalPlace(slots);
    this.#append(place, slots.interval);
    return place;
  }

  /** Returns all slots that are renewed. */
  all(): Slots[] {
    return [...this.#ends.values()].flatMap(slotsBefore);
  }

  #append(place: RenewalPlace<Slots>, interval: number): void {
    let end = this.#ends.get(interval);
    if (end === undefined) {
      end = new RenewalPlace<Slots>(undefined);
      this.#ends.set(interval, end);
    }
    place.due = performance.now() + interval;
    place.moveBefore(end);
    if (place.due < this.#next) this.#wakeAt(place.due);
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
    for (const [interval, end] of this.#ends) {
      // Those that are due a little later are renewed too, so that one run of the timer renews many.
      while (end.next.due <= now + interval * EARLY) {
        const { slots } = end.next;
        this.#append(end.next, interval);
        slots?.renew();
      }
      if (end.next === end) this.#ends.delete(interval);
    }
    const next = Math.min(...[...this.#ends.values()].map(({ next: { due } }) => due));
    if (next < this.#next) this.#wakeAt(next);
  }
}

/** Part of an interval by which a renewal may be early. */
const EARLY = 1 / 8;

function slotsBefore<Slots>(end: RenewalPlace<Slots>): Slots[] {
  const all: Slots[] = [];
  for (let place = end.next; place.slots !== undefined; place = place.next) all.push(place.slots);
  return all;
}
