import { fixedWindowSql } from './fixed-window.sql.js';
import type { SqlStrategy } from './sql-strategy.js';

/**
 * The SQL version of `calendar-window.strategy.ts`: that of the fixed window, whose names it shares.
 */
export const calendarWindowSql: SqlStrategy = { ...fixedWindowSql, names: '' };
