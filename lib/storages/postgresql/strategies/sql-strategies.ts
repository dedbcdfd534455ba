import type { StrategyName } from '../../../strategies/strategy.js';
import { calendarWindowSql } from './calendar-window.sql.js';
import { fixedWindowElasticExpirySql } from './fixed-window-elastic-expiry.sql.js';
import { fixedWindowSql } from './fixed-window.sql.js';
import { movingWindowSql } from './moving-window.sql.js';
import { slidingWindowCounterSql } from './sliding-window-counter.sql.js';
import type { SqlStrategy } from './sql-strategy.js';
import { tokenBucketSql } from './token-bucket.sql.js';

/** The SQL versions of all strategies. The functions identify a strategy by its index here. */
export const sqlStrategies: Readonly<Record<StrategyName, SqlStrategy>> = {
  'fixed-window': fixedWindowSql,
  'fixed-window-elastic-expiry': fixedWindowElasticExpirySql,
  'calendar-window': calendarWindowSql,
  'moving-window': movingWindowSql,
  'sliding-window-counter': slidingWindowCounterSql,
  'token-bucket': tokenBucketSql,
};

/** The names of all strategies, in the order of their numbers in the functions. */
export const sqlStrategyNames = Object.keys(sqlStrategies) as readonly StrategyName[];
