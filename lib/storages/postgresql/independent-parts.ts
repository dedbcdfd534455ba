import type { WaitingBatch } from './call-gatherer.js';

/** Groups batches so that those of different groups have no identity in common. */
export function independentParts(waiting: readonly WaitingBatch[]): WaitingBatch[][] {
  const parts = new Set<{ entries: WaitingBatch[]; identities: Set<string> }>();
  for (const entry of waiting) {
    const merged = { entries: [entry], identities: new Set(entry.batch.map(({ identity }) => identity)) };
    for (const part of parts) {
      if (!entry.batch.some(({ identity }) => part.identities.has(identity))) continue;
      parts.delete(part);
      merged.entries = [...part.entries, ...merged.entries];
      for (const identity of part.identities) merged.identities.add(identity);
    }
    parts.add(merged);
  }
  return [...parts].map(({ entries }) =>
    entries.toSorted((one, other) => waiting.indexOf(one) - waiting.indexOf(other)),
  );
}
