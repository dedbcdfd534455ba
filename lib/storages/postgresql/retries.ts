import type { BatchResult } from '../../core/contract.js';
import type { Waiting } from '../call-gatherer.js';
import type { PlannedBatch } from './decision-call.js';

/** A batch waiting to be sent. */
export type WaitingBatch = Waiting<PlannedBatch, BatchResult>;

/** Attempts per batch: gathered, without unrelated batches, and once more after a deadlock. */
export const MAX_ATTEMPTS = 3;

/** A value that the server rejects. */
const BAD_VALUE = /^(?:22|23|54)/;
/** A deadlock, or a row that could not be locked in time. */
const NOT_LOCKED = /^(?:40001|40P01|55P03)$/;

/**
 * Returns the parts in which the batches of a failed call are sent again, so that one batch does
 * not fail the others. After a rejected value, each batch is a part. After a failed lock, batches
 * that share identities are a part.
 *
 * @param code SQLSTATE of the error
 * @returns no parts if the call may have counted, or would fail again
 */
export function partsToRetry(waiting: readonly WaitingBatch[], code: string): (readonly WaitingBatch[])[] {
  if (BAD_VALUE.test(code)) return waiting.length > 1 ? waiting.map((entry) => [entry]) : [];
  if (!NOT_LOCKED.test(code)) return [];
  const parts = independentParts(waiting);
  return parts.length > 1 || code.startsWith('40') ? parts : [];
}

/** Groups batches, in order, so that batches of different groups share no identity. */
function independentParts(waiting: readonly WaitingBatch[]): WaitingBatch[][] {
  const parts = new Set<{ entries: WaitingBatch[]; identities: Set<string> }>();
  for (const entry of waiting) {
    const own = new Set(entry.item.map(({ identity }) => identity));
    const joined = { entries: [entry], identities: own };
    for (const part of parts) {
      if (!entry.item.some(({ identity }) => part.identities.has(identity))) continue;
      parts.delete(part);
      joined.entries = [...part.entries, ...joined.entries];
      for (const identity of part.identities) own.add(identity);
    }
    parts.add(joined);
  }
  return [...parts].map(({ entries }) =>
    entries.toSorted((one, other) => waiting.indexOf(one) - waiting.indexOf(other)),
  );
}
