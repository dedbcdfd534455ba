import { ConfigurationError } from '../common/errors.js';
import type { RateLimitItem } from '../notation/rate-limit-item.js';
import type { StrategyName } from '../strategies/strategy.js';

/** An item, and how it is counted. */
export interface CountedItem {
  readonly item: RateLimitItem;
  readonly strategy: StrategyName;
}

/** Whether two items of a policy would share one count. */
export function isSameCell(one: CountedItem, other: CountedItem): boolean {
  return one.item.period === other.item.period && one.strategy === other.strategy;
}

/** What each limit of a policy is called: as the policy, told apart by unit where it has several, and by strategy if need be. */
export class LimitNames {
  /**
   * @param all the limits that apply together under the policy's name
   * @throws ConfigurationError when two of them would share one count
   */
  constructor(
    private readonly policy: string,
    private readonly all: readonly CountedItem[],
  ) {
    for (const [index, one] of all.entries()) {
      const { item, strategy } = one;
      if (all.slice(0, index).some((other) => isSameCell(one, other))) {
        throw new ConfigurationError(
          `The policy "${policy}" has two limits per ${windowOf(item)} with the strategy "${strategy}", which would ` +
            'share one count. Remove one, or give one of them another name: @RateLimit(limits, { name }).',
        );
      }
    }
  }

  for({ item, strategy }: CountedItem): string {
    if (this.all.length === 1) return this.policy;
    const unit = windowOf(item);
    const isAmbiguous = this.all.filter((other) => windowOf(other.item) === unit).length > 1;
    return `${this.policy}/${unit}${isAmbiguous ? `/${strategy}` : ''}`;
  }
}

function windowOf({ multiples, granularity }: RateLimitItem): string {
  return multiples === 1 ? granularity.name : `${multiples}-${granularity.name}`;
}
