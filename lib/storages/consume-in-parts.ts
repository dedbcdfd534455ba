import type { Awaitable } from '../common/awaitable.js';
import {
  receiptsOf,
  type BatchResult,
  type Cell,
  type Hit,
  type Outcome,
  type Refund,
} from '../core/contract.js';

/** Groups the cells or hits of a batch by what can be decided atomically, in order. */
export function partition<C extends Cell>(batch: readonly C[], partOf: (cell: C) => string): C[][] {
  const parts = new Map<string, C[]>();
  for (const hit of batch) {
    const part = parts.get(partOf(hit));
    if (part === undefined) parts.set(partOf(hit), [hit]);
    else part.push(hit);
  }
  return [...parts.values()];
}

/**
 * Consumes a batch whose parts can each be decided atomically, but not together: all parts in parallel, and what was taken
 * is given back if one of them refuses or fails. Never over a limit; under a race, possibly a refusal that one atomic step
 * would not have made.
 */
export async function consumeInParts(
  batch: readonly Hit[],
  parts: readonly (readonly Hit[])[],
  consume: (part: readonly Hit[]) => Awaitable<BatchResult>,
  refund: (refunds: readonly Refund[]) => Awaitable<void>,
): Promise<BatchResult> {
  if (parts.length === 1) return consume(batch);
  const settled = await Promise.allSettled(parts.map(async (part) => consume(part)));
  const results = settled.flatMap((part) => (part.status === 'fulfilled' ? [part.value] : []));
  const failure = settled.find((part) => part.status === 'rejected');
  const allowed = failure === undefined && results.every((result) => result.allowed);
  const givingBack = allowed ? undefined : refund(results.flatMap(receiptsOf));
  if (failure !== undefined) {
    await Promise.allSettled([givingBack]); // what failed first says more than what fails now
    throw failure.reason;
  }
  await givingBack;
  return joinResults(batch, results.map(allowed ? (result) => result : withoutConsumption));
}

/** Puts the results of the parts of a batch together, in the batch's order, with the latest reading of the clock. */
export function joinResults(batch: readonly Hit[], results: readonly BatchResult[]): BatchResult {
  const now = Math.max(...results.map((result) => result.now));
  const outcomes = results.flatMap((result) =>
    result.outcomes.map((outcome) => dated(outcome, result.now, now)),
  );
  const outcomeOf = (hit: Hit): Outcome[] =>
    outcomes.filter((outcome) => outcome.identity === hit.identity && outcome.limit.id === hit.limit.id);
  return {
    allowed: results.every((result) => result.allowed),
    now,
    outcomes: batch.flatMap(outcomeOf),
  };
}

/** With the time at which it was taken, where the whole batch tells another. */
function dated(outcome: Outcome, takenAt: number, now: number): Outcome {
  return takenAt === now || outcome.window === undefined ? outcome : { takenAt, ...outcome };
}

function withoutConsumption(result: BatchResult): BatchResult {
  return { ...result, outcomes: result.outcomes.map((outcome) => givenBack(outcome, result.now)) };
}

/** As if it had not been taken. Where all is there again, nothing is consumed; elsewhere giving back moves no `resetTime`. */
function givenBack(outcome: Outcome, now: number): Outcome {
  if (outcome.window === undefined) return outcome;
  const remaining = outcome.remaining + outcome.cost;
  const resetTime = remaining === outcome.limit.burst ? now : outcome.resetTime;
  return { ...outcome, remaining, resetTime, window: undefined };
}
