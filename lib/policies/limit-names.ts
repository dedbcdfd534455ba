import { ConfigurationError } from '../common/errors.js';
import type { CreateLimitOptions } from '../core/limit.js';
import { describePeriod } from '../notation/describe-period.js';
import type { RateLimitItem } from '../notation/rate-limit-item.js';

/** A limit before it is named: its name depends on the other limits of its policy. */
export interface LimitDraft extends Omit<CreateLimitOptions, 'name' | 'policy'> {
  /** The name of the window: `minute`, `2-hour`. */
  readonly window: string;
}

/**
 * Returns the window of an item, for {@link LimitDraft}. A calendar's is that of its declaration; any other is named by its length, as in
 * the message of a refusal: `second` for 1000 milliseconds.
 */
export function windowOf({ multiples, granularity, period }: RateLimitItem, isCalendar: boolean): string {
  if (!isCalendar) return describePeriod(period).replace(/^(\d+) (.*)s$/, '$1-$2');
  return multiples === 1 ? granularity.name : `${multiples}-${granularity.name}`;
}

/** Returns true if two limits of one policy have one window and strategy, and so one name, whatever their scopes. */
export function isSameWindow(one: LimitDraft, other: LimitDraft): boolean {
  if (one.strategy !== other.strategy) return false;
  if (one.strategy === 'concurrency') return true;
  return one.strategy === 'calendar-window' ? one.window === other.window : one.period === other.period;
}

function unitOf({ strategy, window }: LimitDraft): string {
  return strategy === 'concurrency'
    ? 'of concurrent requests'
    : `per ${window} with the strategy "${strategy}"`;
}

/**
 * Names limits after their policy. Appends the window if the policy has several limits, and the strategy if two of them would still
 * have the same name.
 *
 * @param sharedWith the other limits that apply under the same name
 * @throws ConfigurationError if two of all these have one window and strategy
 */
export function nameLimits(
  policy: string,
  drafts: readonly LimitDraft[],
  sharedWith: readonly LimitDraft[],
): CreateLimitOptions[] {
  const all = [...drafts, ...sharedWith];
  const repeated = all.find((one, index) => all.slice(0, index).some((other) => isSameWindow(one, other)));
  if (repeated !== undefined)
    throw new ConfigurationError(
      `The policy "${policy}" has two limits ${unitOf(repeated)}, which would ` +
        'share one count. Remove one, or give one of them another name: @RateLimit(limits, { name }).',
    );
  const nameOf = ({ window, strategy }: LimitDraft): string => {
    if (all.length === 1) return policy;
    const isAmbiguous = all.filter((other) => other.window === window).length > 1;
    return `${policy}/${window}${isAmbiguous ? `/${strategy}` : ''}`;
  };
  return drafts.map((draft) => ({ ...draft, name: nameOf(draft), policy }));
}
