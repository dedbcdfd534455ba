import { describeValue } from './describe.js';

/**
 * Refuses a cost that is not a whole number from 0.
 *
 * @throws RangeError
 */
export function assertCost(cost: unknown): asserts cost is number {
  if (!Number.isSafeInteger(cost) || (cost as number) < 0) {
    throw new RangeError(`The cost of a hit must be a whole number from 0; got ${describeValue(cost)}.`);
  }
}
