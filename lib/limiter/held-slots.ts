import { chain, isPromise, type Awaitable } from '../common/awaitable.js';
import {
  receiptOf,
  settlementOf,
  withdrawn,
  type BatchResult,
  type Outcome,
  type Receipt,
} from '../core/contract.js';
import { announceReturn } from '../core/returned-units.js';
import type { Storage } from '../core/storage.js';
import { SlotRenewals, type RenewalPlace } from './slot-renewals.js';

/** Renewals of a slot per hold: two may fail in a row. */
const RENEWALS_PER_HOLD = 3;

/** Renews the slots of all storages of this process. */
const renewals = new SlotRenewals<HeldSlots>();

/**
 * The slots of concurrent requests that one decision has taken. They are released, never settled by hand or by outcome, so their
 * receipts are kept here alone.
 */
export class HeldSlots {
  /** Ms after which slots that are not renewed are free. */
  readonly hold: number;
  /** Ms between renewals. */
  readonly interval: number;
  #receipts: readonly Receipt[];
  /** Among the slots that are renewed. */
  #place: RenewalPlace<HeldSlots> | undefined;
  /** The last renewal in flight, or the release before it. */
  #renewal: Promise<void> | undefined;
  #release: Awaitable<void> | undefined;
  #isReleased = false;

  constructor(
    readonly storage: Storage,
    receipts: readonly Receipt[],
  ) {
    this.#receipts = receipts;
    this.hold = Math.min(...receipts.map(({ limit }) => limit.period));
    this.interval = Math.max(1, Math.floor(this.hold / RENEWALS_PER_HOLD));
  }

  /** One per limit: the slots that are held. */
  get receipts(): readonly Receipt[] {
    return this.#receipts;
  }

  /** Renews the slots from now on, until they are released. */
  keep(): this {
    if (!this.#isReleased) this.#place ??= renewals.add(this);
    return this;
  }

  /** Extends the hold. After a failure the next renewal tries again. */
  renew(): void {
    const renewed = this.#afterRenewals(() => this.#extend());
    if (!isPromise(renewed)) return;
    const renewal = renewed.then(() => {
      if (this.#renewal === renewal) this.#renewal = undefined;
    });
    this.#renewal = renewal;
  }

  /** Releases the slots, once. Never fails: a slot that the store does not release is free when its hold is over. */
  release(): Awaitable<void> {
    if (this.#isReleased) return this.#release;
    this.#isReleased = true;
    this.#place?.leave();
    this.#release = this.#afterRenewals(() => this.#giveBack());
    return this.#release;
  }

  /** Takes slots again that have been released, above the limit if need be, as a renewal does, and renews them from now on. */
  takeAgain(): void {
    if (!this.#isReleased) return;
    if (isPromise(this.#release)) this.#renewal = this.#release;
    this.#release = undefined;
    this.#isReleased = false;
    this.#place = undefined;
    this.keep().renew();
  }

  #afterRenewals(call: () => Awaitable<void>): Awaitable<void> {
    return this.#renewal === undefined ? quietly(call) : this.#renewal.then(() => quietly(call));
  }

  #extend(): Awaitable<void> {
    return chain(
      this.storage.settle(this.#receipts.map((receipt) => settlementOf(receipt, receipt.cost))),
      ({ outcomes }) => {
        // A slot that was taken without the store is one of the store's limit once that counts it.
        this.#receipts = this.#receipts.map((receipt, index) => {
          const { limit = receipt.limit, window } = outcomes[index] ?? {};
          return { ...receipt, limit, window };
        });
      },
    );
  }

  #giveBack(): Awaitable<void> {
    return chain(this.storage.settle(withdrawn(this.#receipts)), () =>
      announceReturn(this.storage, this.#receipts),
    );
  }
}

/** Returns the slots that a decision has taken; `undefined` if there are none. */
export function slotsTakenBy(storage: Storage, result: BatchResult): HeldSlots | undefined {
  const receipts: Receipt[] = [];
  for (const outcome of result.outcomes) {
    const receipt = isHeld(outcome) ? receiptOf(result, outcome) : undefined;
    if (receipt !== undefined) receipts.push(receipt);
  }
  return receipts.length === 0 ? undefined : new HeldSlots(storage, receipts);
}

function isHeld({ limit, taken, cost }: Outcome): boolean {
  return limit.strategy === 'concurrency' && taken && cost > 0;
}

/** Renews all slots of a storage whose store is back: it may have lost them, and does not know those that were taken without it. */
export function renewAllSlots(storage: Storage): void {
  for (const slots of renewals.all()) if (slots.storage === storage) slots.renew();
}

/** Returns the slots of a storage that this process holds and renews, by policy. */
export function slotsHeldIn(storage: Storage): Map<string, number> {
  const held = new Map<string, number>();
  for (const slots of renewals.all().filter((one) => one.storage === storage))
    for (const { limit, cost } of slots.receipts)
      held.set(limit.policy, (held.get(limit.policy) ?? 0) + cost);
  return held;
}

/** Releases all slots of a storage that are renewed, for a storage that is about to close. */
export async function releaseAllSlots(storage: Storage): Promise<void> {
  const held = renewals.all().filter((slots) => slots.storage === storage);
  await Promise.all(held.map(async (slots) => slots.release()));
}

/** Calls and ignores errors. */
function quietly(call: () => Awaitable<void>): Awaitable<void> {
  try {
    const done = call();
    return isPromise(done) ? done.catch(() => undefined) : done;
  } catch {
    return undefined;
  }
}
