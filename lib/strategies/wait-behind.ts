import { divideUp, type Quota, type StrategyName } from './strategy.js';

/**
 * Returns a lower bound of the ms from the time at which the first hit of a line is allowed to the time at which the last one is, if
 * they are taken in order and all of them are taken.
 *
 * - Windows take at most the amount per period, a sliding window counter at most twice the amount.
 * - A token bucket has just the cost of the first when that is allowed, and refills the others. The bound is a ms less, since a hit is
 *   allowed on the first whole ms.
 * - The windows of a calendar differ in length, and the time at which slots are released is not known: 0.
 *
 * @param units the costs of all hits in the line, the first and the last included
 * @param first the cost of the first
 */
export function waitBehind(
  strategy: StrategyName,
  { amount, period }: Quota,
  units: number,
  first: number,
): number {
  switch (strategy) {
    case 'fixed-window':
    case 'fixed-window-elastic-expiry':
    case 'moving-window':
      return (divideUp(units, amount) - 1) * period;
    case 'sliding-window-counter':
      return (divideUp(units, 2 * amount) - 1) * period;
    case 'token-bucket':
      return Math.max(0, Math.ceil(((units - first) / amount) * period) - 1);
    case 'calendar-window':
    case 'concurrency':
      return 0;
  }
}
