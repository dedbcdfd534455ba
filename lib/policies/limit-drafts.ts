import { ConfigurationError } from '../common/errors.js';
import { itemsOrNone, UNLIMITED } from '../notation/limit-input.js';
import { parseDuration } from '../notation/parse-duration.js';
import type { RateLimitItem } from '../notation/rate-limit-item.js';
import { isConcurrent } from '../notation/rate-limit-item-concurrent.js';
import { calendarOptions, type CalendarPosition } from '../strategies/calendars.js';
import type { StrategyName } from '../strategies/strategy.js';
import { blockOf, type BlockOption } from './block-option.js';
import { withOptions, type GivenLimits, type LimitsWithOptions } from './given-limits.js';
import { windowOf, type LimitDraft } from './limit-names.js';
import type { CompletedDeclaration } from './policy-options.js';
import type { CalendarSource, PolicyDeclaration } from './policy.js';
import { waitOf, type WaitOption } from './wait-option.js';

/** What all limits of a declaration have in common. */
export interface SharedOfLimits<Context, Key> {
  /** The id of the policy. */
  readonly id: string;
  readonly where: string;
  readonly strategy: StrategyName;
  readonly options: Pick<
    CompletedDeclaration<Context, Key>,
    'actualCost' | 'burst' | 'count' | 'hold' | 'mode'
  >;
  /** Where calendar windows lie; absent for other strategies. */
  readonly calendar: CalendarSource<Context> | undefined;
  /** The block and the wait of limits that do not set one. */
  readonly block: BlockOption;
  readonly wait: WaitOption;
}

/**
 * Returns a function that drafts limits of a declaration.
 *
 * @throws ConfigurationError for a `hold` that cannot be read
 */
export function limitDrafter<Context, Key>(
  shared: SharedOfLimits<Context, Key>,
): (given: GivenLimits) => LimitDraft[] {
  const hold = shared.options.hold === undefined ? undefined : parseDuration(shared.options.hold);
  return (given) => {
    const { limits, ...own } = withOptions(given);
    const items = itemsOrNone(limits);
    assertForRates(own, items);
    return items.map((item) =>
      isConcurrent(item) ? draftSlots(shared, item, own, hold) : draftRate(shared, item, own),
    );
  };
}

function draftSlots<Context, Key>(
  { id, where, options, wait }: SharedOfLimits<Context, Key>,
  item: RateLimitItem,
  own: Partial<LimitsWithOptions>,
  hold: number | undefined,
): LimitDraft {
  return {
    id: `${id}:concurrency`,
    where,
    window: item.granularity.name,
    strategy: 'concurrency',
    amount: item.amount,
    period: hold ?? item.period,
    mode: options.mode,
    wait: waitOf(own.wait ?? wait),
  };
}

function draftRate<Context, Key>(
  { id, where, strategy, options, calendar, block, wait }: SharedOfLimits<Context, Key>,
  item: RateLimitItem,
  own: Partial<LimitsWithOptions>,
): LimitDraft {
  const { amount, period, multiples, granularity } = item;
  const { burst, mode, count, actualCost } = options;
  return {
    id: `${id}:${calendar === undefined ? period : `${multiples}-${granularity.name}`}:${strategy}`,
    where,
    window: windowOf(item, calendar !== undefined),
    strategy,
    amount,
    period,
    calendar: calendar && calendarOptions(granularity.name, multiples, fixedPosition(calendar)),
    burst: own.burst ?? burst,
    mode,
    ...blockOf(own.block ?? block, period),
    refundable: count !== 'all' || actualCost !== undefined,
    wait: waitOf(own.wait ?? wait),
  };
}

/** Throws for options that do not fit slots, and for `hold` without slots. A function may return limits of either kind. */
export function assertSlotOptions<Context, Key>({
  limits = UNLIMITED,
  plans = {},
  hold,
  ...options
}: CompletedDeclaration<Context, Key>): void {
  if (typeof limits === 'function') return;
  const items = [limits, ...Object.values(plans)].flatMap((given) => itemsOrNone(withOptions(given).limits));
  if (hold !== undefined && !items.some(isConcurrent))
    throw new ConfigurationError(
      'The option "hold" is for limits of concurrent requests, such as "5 concurrent".',
    );
  assertForRates(options, items);
}

/** Options that do not apply to slots. */
type RateOptions = {
  readonly [Name in 'count' | 'actualCost' | 'block' | 'burst']?: PolicyDeclaration<never>[Name];
};

/** Throws for options of rates beside slots alone. */
function assertForRates(
  { count = 'all', actualCost, block = [], burst }: RateOptions,
  items: readonly RateLimitItem[],
): void {
  if (items.length === 0 || !items.every(isConcurrent)) return;
  const isGiven = {
    count: count !== 'all',
    actualCost: actualCost !== undefined,
    block: blockOf(block, 1).block.length > 0,
    burst: burst !== undefined,
  };
  const given = Object.entries(isGiven).find(([, is]) => is)?.[0];
  if (given === undefined) return;
  throw new ConfigurationError(
    `The option "${given}" does not apply to concurrent requests, whose slots are held until the work is over. Remove it.`,
  );
}

/** Returns the position of requests for which no function finds one. */
export function fixedPosition<Context>({ timeZone, anchor }: CalendarSource<Context>): CalendarPosition {
  return {
    timeZone: typeof timeZone === 'function' ? undefined : timeZone,
    anchor: typeof anchor === 'function' ? undefined : anchor,
  };
}
