import { attempt, chain, isPromise, type Awaitable } from '../common/awaitable.js';
import type { BatchResult, Outcome } from '../core/contract.js';
import { settleOutcomes } from '../core/settlement.js';
import type { Storage } from '../core/storage.js';
import { SlotRenewals } from './slot-renewals.js';

/** Part of the hold after which a slot is renewed: two renewals may fail. */
const RENEWALS_PER_HOLD = 3;

/** Renews the slots of all storages of this process. */
const renewals = new SlotRenewals<HeldSlots>();

/** The slots of concurrent requests that one decision has taken. */
export class HeldSlots {
  /** Ms after which slots that are not renewed are free. */
  readonly hold: number;
  /** Ms between renewals. */
  readonly interval: number;
  #release: Awaitable<void> | undefined;
  #isReleased = false;

  constructor(
    readonly storage: Storage,
    private readonly result: BatchResult,
    readonly outcomes: readonly Outcome[],
  ) {
    this.hold = Math.min(...outcomes.map(({ limit }) => limit.period));
    this.interval = Math.max(1, Math.floor(this.hold / RENEWALS_PER_HOLD));
  }

  /** Renews the slots from now on, until they are released. */
  keep(): this {
    if (!this.#isReleased) renewals.add(this);
    return this;
  }

  /** Extends the hold. After a failure the next renewal tries again. */
  renew(): void {
    void quietly(() => this.#settle(({ cost }) => cost));
  }

  /** Releases the slots, once. Never fails: a slot that the store does not release is free when its hold is over. */
  release(): Awaitable<void> {
    if (this.#isReleased) return this.#release;
    this.#isReleased = true;
    renewals.delete(this);
    this.#release = chain(
      quietly(() => this.#settle(() => 0)),
      () => undefined,
    );
    return this.#release;
  }

  #settle(costOf: (outcome: Outcome) => number): Awaitable<unknown> {
    const changes = this.outcomes.map((outcome) => ({ outcome, actual: costOf(outcome) }));
    return settleOutcomes(this.storage, this.result, changes, 'outcome');
  }
}

/** Returns the slots that a decision has taken; `undefined` if there are none. */
export function slotsTakenBy(storage: Storage, result: BatchResult): HeldSlots | undefined {
  return result.outcomes.some(isHeld)
    ? new HeldSlots(storage, result, result.outcomes.filter(isHeld))
    : undefined;
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
    for (const { limit, cost } of slots.outcomes)
      held.set(limit.policy, (held.get(limit.policy) ?? 0) + cost);
  return held;
}

/** Releases all slots of a storage that are renewed, for a storage that is about to close. */
export async function releaseAllSlots(storage: Storage): Promise<void> {
  const held = renewals.all().filter((slots) => slots.storage === storage);
  await Promise.all(held.map(async (slots) => slots.release()));
}

/** Calls and ignores errors. */
function quietly(call: () => Awaitable<unknown>): Awaitable<unknown> {
  const done = attempt(call);
  return isPromise(done) ? done.catch(() => undefined) : done;
}
