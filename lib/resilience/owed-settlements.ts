import { bareHit, type BatchResult, type Settlement } from '../core/contract.js';

/** Maximum number of settlements kept for a store that is down. */
const MAX_OWED = 10_000;

/** Settlements per call after the store has recovered. */
const SETTLEMENTS_PER_CALL = 100;

/**
 * Settlements that wait, in order, until the store recovers. If there are too many, the oldest are
 * dropped, and their hits keep their cost.
 */
export class OwedSettlements {
  #owed: Settlement[] = [];

  /** Stores settlements, except renewals of slots, which are repeated anyway. Returns the expected outcomes. */
  add(settlements: readonly Settlement[], now: number): BatchResult {
    this.#owed.push(
      ...settlements.filter(({ limit, actual }) => limit.strategy !== 'concurrency' || actual === 0),
    );
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

  /**
   * Sends all stored settlements. A settlement that fails is dropped, and its hit keeps its cost.
   */
  settleAll(settle: (settlements: readonly Settlement[]) => Promise<unknown>): void {
    const owed = this.#owed.slice(-MAX_OWED);
    this.#owed = [];
    for (let start = 0; start < owed.length; start += SETTLEMENTS_PER_CALL)
      settle(owed.slice(start, start + SETTLEMENTS_PER_CALL)).catch(() => undefined);
  }
}
