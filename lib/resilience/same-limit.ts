import type { Limit } from '../core/limit.js';

/** Whether two limits decide alike: what was answered by one is an answer by the other. */
export function isSameLimit(one: Limit, other: Limit): boolean {
  return (
    one === other ||
    (one.id === other.id &&
      one.amount === other.amount &&
      one.burst === other.burst &&
      one.mode === other.mode)
  );
}
