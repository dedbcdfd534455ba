import { bareHit, type BatchResult, type Settlement } from '../core/contract.js';

/** Settlements kept for a store that is down. */
const MAX_OWED = 10_000;

/** Settlements per call once the store is back. */
const SETTLEMENTS_PER_CALL = 100;

/** Settlements that wait for a store to come back, in order. Of too many, the oldest are dropped: their hits stay as they were. */
export class OwedSettlements {
  #owed: Settlement[] = [];

  /** Keeps settlements; returns the outcomes to expect. */
  add(settlements: readonly Settlement[], now: number): BatchResult {
    this.#owed.push(...settlements);
    if (this.#owed.length >= 2 * MAX_OWED) this.#owed = this.#owed.slice(-MAX_OWED);
    const outcomes = settlements.map((settlement) => ({
      ...bareHit(settlement),
      cost: settlement.actual,
      allowed: true,
      remaining: Math.max(0, settlement.limit.burst - settlement.actual),
      resetTime: now,
      retryAfter: 0,
      taken: true,
      window: settlement.window === 'current' ? undefined : settlement.window,
      ...(settlement.window === 'current' ? {} : { takenAt: settlement.at }),
    }));
    return { allowed: true, now, outcomes, degraded: 'fallback' };
  }

  /** Settles everything that is owed. A settlement that fails is dropped: its hit stays as it was. */
  settleAll(settle: (settlements: readonly Settlement[]) => Promise<unknown>): void {
    const owed = this.#owed.slice(-MAX_OWED);
    this.#owed = [];
    for (let start = 0; start < owed.length; start += SETTLEMENTS_PER_CALL)
      settle(owed.slice(start, start + SETTLEMENTS_PER_CALL)).catch(() => undefined);
  }
}
