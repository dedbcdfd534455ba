import { fixedWindow, type FixedWindowState } from './fixed-window.strategy.js';
import type { Strategy } from './strategy.js';

/**
 * Calendar window: counts hits in windows whose bounds are those of a calendar.
 *
 * - State and steps: those of the fixed window. Only the end of a new window comes from the calendar.
 * - Bound: never more than `amount` in one window of the calendar.
 * - After a change of the time zone or the anchor, an open window ends at the earlier of both ends.
 */
export const calendarWindow: Strategy<FixedWindowState> = fixedWindow;
