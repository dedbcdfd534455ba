import { calendarWindow } from './calendar-window.strategy.js';
import { concurrency } from './concurrency.strategy.js';
import { fixedWindowElasticExpiry } from './fixed-window-elastic-expiry.strategy.js';
import { fixedWindow } from './fixed-window.strategy.js';
import { movingWindow } from './moving-window.strategy.js';
import { slidingWindowCounter } from './sliding-window-counter.strategy.js';
import type { RateStrategyName, Strategy, StrategyName } from './strategy.js';
import { tokenBucket } from './token-bucket.strategy.js';

/** All strategies by name. A state is passed only to the strategy that created it. */
export const strategies: Readonly<Record<StrategyName, Strategy<object>>> = {
  'fixed-window': fixedWindow,
  'fixed-window-elastic-expiry': fixedWindowElasticExpiry,
  'calendar-window': calendarWindow,
  'moving-window': movingWindow,
  'sliding-window-counter': slidingWindowCounter,
  'token-bucket': tokenBucket,
  concurrency,
};

/** The names of all strategies, in a fixed order. */
export const strategyNames = Object.keys(strategies) as readonly StrategyName[];

/** The strategies of rates, which an application chooses: all but `'concurrency'`, which limits such as `'5 concurrent'` have. */
export const rateStrategyNames = strategyNames.filter(
  (name): name is RateStrategyName => name !== 'concurrency',
);

export function isStrategyName(name: unknown): name is StrategyName {
  return typeof name === 'string' && Object.hasOwn(strategies, name);
}
