import { all, chain, type Awaitable } from '../common/awaitable.js';
import { quote } from '../common/describe.js';
import { ConfigurationError } from '../common/errors.js';
import type { BatchResult, Outcome } from '../core/contract.js';
import { Decision } from '../core/decision.js';
import { assertSettleable, settleOutcomes } from '../core/settlement.js';
import type { Storage } from '../core/storage.js';

/**
 * Returns the actual cost of each policy of a decision.
 *
 * @throws ConfigurationError for an unknown policy, or one cost for several policies; RangeError
 * for a cost out of range
 */
export function costsByPolicy(
  decision: Decision,
  actual: number | Readonly<Record<string, number>>,
): ReadonlyMap<string, number> {
  const limits = decision.limits.filter(({ limit }) => limit.strategy !== 'concurrency');
  const known = [...new Set(limits.map(({ limit }) => limit.policy))];
  if (typeof actual !== 'object' || actual === null) {
    if (known.length > 1)
      throw new ConfigurationError(
        `The decision has the policies ${known.join(', ')}. Give the actual cost of each: settle(decision, { ${known[0]}: 1 }).`,
      );
    actual = Object.fromEntries(known.map((policy) => [policy, actual as number]));
  }
  const costs = new Map(Object.entries(actual));
  for (const [policy, cost] of costs) {
    if (!known.includes(policy))
      throw new ConfigurationError(
        `The decision has no policy ${quote(policy)}. Its policies: ${known.join(', ')}.`,
      );
    for (const outcome of limits) if (outcome.limit.policy === policy) assertSettleable(outcome, cost);
  }
  return costs;
}

/**
 * Settles the outcomes of all phases of a decision. Slots stay held: they are released when the work is over.
 *
 * @param costOf returns the actual cost of an outcome; `undefined` leaves it unchanged
 */
export function settleDecision(
  storage: Storage,
  decision: Decision,
  costOf: (outcome: Outcome) => number | undefined,
): Awaitable<Decision> {
  return chain(
    all(decision.results.map((result) => settleResult(storage, result, costOf))),
    (results) =>
      results.reduce<Decision | undefined>((earlier, result) => new Decision(result, earlier), undefined) ??
      decision,
  );
}

function settleResult(
  storage: Storage,
  result: BatchResult,
  costOf: (outcome: Outcome) => number | undefined,
): Awaitable<BatchResult> {
  const changes = result.outcomes.flatMap((outcome) => {
    const actual = outcome.limit.strategy === 'concurrency' ? undefined : costOf(outcome);
    return actual === undefined ? [] : [{ outcome, actual }];
  });
  return chain(settleOutcomes(storage, result, changes, 'hand'), (settled) => ({
    ...result,
    now: settled.now,
    outcomes: result.outcomes.map((outcome) => settled.outcomes.get(outcome) ?? outcome),
  }));
}
