import type { StrategyName } from '../../../strategies/strategy.js';
import { calendarWindowLua } from './calendar-window.lua.js';
import { concurrencyLua } from './concurrency.lua.js';
import { fixedWindowElasticExpiryLua } from './fixed-window-elastic-expiry.lua.js';
import { fixedWindowLua } from './fixed-window.lua.js';
import { movingWindowLua } from './moving-window.lua.js';
import { slidingWindowCounterLua } from './sliding-window-counter.lua.js';
import { tokenBucketLua } from './token-bucket.lua.js';

/**
 * The Lua chunks of every strategy, in the order in which a script must contain them. Each is the
 * Lua version of the pure steps in `lib/strategies/`, with the same names in the same order, so
 * that the two can be compared line by line.
 *
 * A chunk adds a table of functions to `strategies`. They differ from the pure steps as follows:
 * - `refuse` returns true if the text to store changes.
 * - `encode` returns the text and its expiry in epoch ms; `decode` takes that text and returns a
 *   state and that expiry.
 * - `commit`, `settle` and `decode` of a strategy with `has_log` take the key of its log as their last argument.
 * - `wait` returns -2 for an unknown time.
 * - Numbers are whole and below 2^53, as in TypeScript.
 */
export const luaStrategies: Readonly<Record<StrategyName, readonly string[]>> = {
  'fixed-window': [fixedWindowLua],
  'fixed-window-elastic-expiry': [fixedWindowLua, fixedWindowElasticExpiryLua],
  'calendar-window': [fixedWindowLua, calendarWindowLua],
  'moving-window': [movingWindowLua],
  'sliding-window-counter': [slidingWindowCounterLua],
  'token-bucket': [tokenBucketLua],
  concurrency: [concurrencyLua],
};
