import type { Timed } from './reordering-window.js';

/** Entries that a merge collects before it passes them on. */
const BATCH = 1000;

interface Head<T> {
  readonly batches: AsyncIterator<T[]>;
  batch: readonly T[];
  index: number;
}

/**
 * Merges sources of sorted batches into one sequence of sorted batches. Entries of one time keep the
 * order of their sources. Closes all sources at the end, and when one of them fails.
 */
export async function* mergeByTime<T extends Timed>(
  sources: readonly AsyncIterable<T[]>[],
): AsyncGenerator<readonly T[]> {
  const iterators = sources.map((source) => source[Symbol.asyncIterator]());
  try {
    const heads: Head<T>[] = [];
    for (const batches of iterators) {
      const head = { batches, batch: [], index: 0 };
      if (await hasEntry(head)) heads.push(head);
    }
    let merged: T[] = [];
    while (heads.length > 0) {
      const first = earliest(heads);
      const head = heads[first] as Head<T>;
      takeUntil(head, limitOf(heads, first), merged);
      if (head.index === head.batch.length && !(await hasEntry(head))) heads.splice(first, 1);
      if (merged.length < BATCH && heads.length > 0) continue;
      yield merged;
      merged = [];
    }
  } finally {
    for (const iterator of iterators) await iterator.return?.();
  }
}

/** Reads the next batch that is not empty, if the last one is used up; returns false at the end of the source. */
async function hasEntry<T>(head: Head<T>): Promise<boolean> {
  while (head.index === head.batch.length) {
    const next = await head.batches.next();
    if (next.done === true) return false;
    head.batch = next.value;
    head.index = 0;
  }
  return true;
}

function timeOf<T extends Timed>({ batch, index }: Head<T>): number {
  return (batch[index] as T).time;
}

/** Returns the index of the head with the earliest time; of several, of the first. */
function earliest<T extends Timed>(heads: readonly Head<T>[]): number {
  let first = 0;
  for (let index = 1; index < heads.length; index++) {
    if (timeOf(heads[index] as Head<T>) < timeOf(heads[first] as Head<T>)) first = index;
  }
  return first;
}

/** Returns the time before which all entries are those of one head. Times are whole numbers. */
function limitOf<T extends Timed>(heads: readonly Head<T>[], first: number): number {
  let limit = Infinity;
  for (let index = 0; index < heads.length; index++) {
    // Entries of the same time precede those of later sources.
    if (index !== first) limit = Math.min(limit, timeOf(heads[index] as Head<T>) + (index > first ? 1 : 0));
  }
  return limit;
}

function takeUntil<T extends Timed>(head: Head<T>, limit: number, merged: T[]): void {
  const { batch } = head;
  while (head.index < batch.length && timeOf(head) < limit) merged.push(batch[head.index++] as T);
}
