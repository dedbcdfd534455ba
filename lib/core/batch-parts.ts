import { attempt, type Awaitable } from '../common/awaitable.js';
import {
  receiptsOf,
  withdrawn,
  type BatchResult,
  type Cell,
  type Hit,
  type Outcome,
  type Settlement,
} from './contract.js';

/** Groups the cells of a batch, in order, by the part that can be decided atomically. */
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
 * Consumes a batch whose parts are each decided atomically, but not together. Consumes all parts in
 * parallel; if one refuses or fails, settles the others to 0. Never exceeds a limit. Under a race
 * it may refuse a hit that one atomic step would allow.
 */
export function consumeInParts(
  batch: readonly Hit[],
  parts: readonly (readonly Hit[])[],
  consume: (part: readonly Hit[]) => Awaitable<BatchResult>,
  settle: (settlements: readonly Settlement[]) => Awaitable<unknown>,
): Promise<BatchResult> {
  return parts.length === 1
    ? Promise.resolve(attempt(() => consume(batch)))
    : consumeAll(batch, parts, consume, settle);
}

async function consumeAll(
  batch: readonly Hit[],
  parts: readonly (readonly Hit[])[],
  consume: (part: readonly Hit[]) => Awaitable<BatchResult>,
  settle: (settlements: readonly Settlement[]) => Awaitable<unknown>,
): Promise<BatchResult> {
  const settled = await Promise.allSettled(parts.map(async (part) => consume(part)));
  const results = settled.flatMap((part) => (part.status === 'fulfilled' ? [part.value] : []));
  const failure = settled.find((part) => part.status === 'rejected');
  const allowed = failure === undefined && results.every((result) => result.allowed);
  const withdrawal = allowed ? undefined : settle(withdrawn(results.flatMap(receiptsOf)));
  if (failure !== undefined) {
    await Promise.allSettled([withdrawal]); // report the failure of the part, not one of the refund
    throw failure.reason;
  }
  await withdrawal;
  return joinResults(batch, parts, results.map(allowed ? (result) => result : withoutConsumption));
}

/**
 * Joins the results of the parts of a batch in the order of the batch, with the latest reading of
 * the clock.
 */
export function joinResults<C extends Cell>(
  batch: readonly C[],
  parts: readonly (readonly C[])[],
  results: readonly BatchResult[],
): BatchResult {
  const now = Math.max(0, ...results.map((result) => result.now));
  const outcomes = new Map<C, Outcome>();
  parts.forEach((part, index) => {
    const result = results[index];
    part.forEach((cell, place) => {
      const outcome = result?.outcomes[place];
      if (result !== undefined && outcome !== undefined) outcomes.set(cell, dated(outcome, result.now, now));
    });
  });
  return {
    allowed: results.every((result) => result.allowed),
    now,
    outcomes: batch.flatMap((cell) => outcomes.get(cell) ?? []),
  };
}

/** Adds the time at which the hit was taken, if the joined result has a later one. */
function dated(outcome: Outcome, takenAt: number, now: number): Outcome {
  return takenAt === now || !outcome.taken ? outcome : { takenAt, ...outcome };
}

function withoutConsumption(result: BatchResult): BatchResult {
  return { ...result, outcomes: result.outcomes.map((outcome) => withdrawnOutcome(outcome, result.now)) };
}

/**
 * Returns the outcome of a hit that was taken and refunded. With the full quota left, nothing is
 * consumed.
 */
function withdrawnOutcome(outcome: Outcome, now: number): Outcome {
  if (!outcome.taken) return outcome;
  const remaining = outcome.remaining + outcome.cost;
  const resetTime = remaining === outcome.limit.burst ? now : outcome.resetTime;
  return { ...outcome, remaining, resetTime, taken: false, window: undefined };
}
