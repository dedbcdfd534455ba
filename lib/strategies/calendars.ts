import { BoundedMap } from '../common/bounded-map.js';
import { describeValue, quote } from '../common/describe.js';
import { ConfigurationError } from '../common/errors.js';
import { assertWholeNumber, oneOf } from '../common/options.js';
import { temporal } from '../common/temporal.js';
import { Calendar, type CalendarRule, type CalendarUnit } from './calendar.js';

/** The calendar of a limit. */
export interface CalendarOptions {
  /** The unit of a window's length: `'month'`. */
  readonly unit: CalendarUnit;
  /** Units per window; a whole number, at least 1. Default: 1. */
  readonly multiple?: number | undefined;
  /** An IANA time zone: `'Europe/Berlin'`. Default: `'UTC'`. */
  readonly timeZone?: string | undefined;
  /** Local date, or date and time, from which the windows step. Default: `'1970-01-01'`; for weeks the Monday `'1970-01-05'`. */
  readonly anchor?: string | undefined;
}

/** The position of a calendar's windows. */
export type CalendarPosition = Pick<CalendarOptions, 'timeZone' | 'anchor'>;

/** Calendars that are cached; each takes about a kilobyte. */
const MAX_CALENDARS = 10_000;

const DAY_MS = 86_400_000;

/** Nominal lengths of the units in ms, equal to those of the notation. */
const NOMINAL_MS: Readonly<Record<CalendarUnit, number>> = {
  millisecond: 1,
  second: 1000,
  minute: 60_000,
  hour: 3_600_000,
  day: DAY_MS,
  week: 7 * DAY_MS,
  month: 30 * DAY_MS,
  year: 360 * DAY_MS,
};

/** The longest window: 100,000 years, so that its bounds are instants that `Temporal` can hold. */
const MAX_WINDOW_MS = 100_000 * NOMINAL_MS.year;

/** Units that a calendar has. */
export const calendarUnits = Object.keys(NOMINAL_MS) as readonly CalendarUnit[];

/**
 * Returns the calendar of windows of a number of units.
 *
 * @throws ConfigurationError for a custom unit
 */
export function calendarOptions(
  unit: string,
  multiple: number,
  { timeZone, anchor }: CalendarPosition,
): CalendarOptions {
  const known = calendarUnits.find((one) => one === unit);
  if (known === undefined)
    throw new ConfigurationError(
      `A calendar has no unit ${quote(unit)}, so that the strategy "calendar-window" cannot count by it. It has: ${calendarUnits.join(', ')}.`,
    );
  return { unit: known, multiple, timeZone, anchor };
}

const calendars = new BoundedMap<Calendar>(MAX_CALENDARS);

/**
 * Returns the calendar of a rule: the same for equal rules, while it is cached.
 *
 * @throws ConfigurationError for an option that is invalid, or before `Temporal` is loaded
 */
export function calendarFor({ unit, multiple = 1, timeZone = 'UTC', anchor }: CalendarOptions): Calendar {
  const from = anchor ?? (unit === 'week' ? '1970-01-05' : '1970-01-01');
  return calendars.getOrMake(JSON.stringify([unit, multiple, timeZone, from]), () => {
    oneOf(calendarUnits)('The unit of a calendar window', unit);
    assertWholeNumber('The multiple of a calendar window', multiple, 1);
    if (multiple * NOMINAL_MS[unit] > MAX_WINDOW_MS)
      throw new ConfigurationError(
        `A calendar window of ${multiple} ${unit}s is too long: the longest is 100,000 years.`,
      );
    assertTimeZone('The timeZone of a calendar window', timeZone);
    assertAnchor('The anchor of a calendar window', from);
    return new Calendar(temporal(), { unit, multiple, timeZone, anchor: from });
  });
}

/** Returns the calendar of a limit, which has it itself unless it was serialised. */
export function calendarOf(rule: CalendarRule): Calendar {
  return rule instanceof Calendar ? rule : calendarFor(rule);
}

/**
 * Returns the bounds of the windows around an instant in epoch ms, for storages that compute on
 * their server: the starts of the previous, the current and the next window, and the end of the
 * next.
 */
export function boundsAround(rule: CalendarRule, near: number): readonly number[] {
  const { previous, current, next } = calendarOf(rule).around(near);
  return [previous.start, current.start, next.start, next.end];
}

/** Throws for anything but the name of a time zone that this engine knows. */
export function assertTimeZone(where: string, value: unknown): asserts value is string {
  if (typeof value === 'string' && /^[A-Za-z]/.test(value)) {
    try {
      new Intl.DateTimeFormat('en', { timeZone: value });
      return;
    } catch {
      // Reported below.
    }
  }
  throw new ConfigurationError(
    `${where} must be the name of an IANA time zone, such as "Europe/Berlin"; got ${describeValue(value)}.`,
  );
}

const ANCHOR = /^(\d{4}-\d\d-\d\d)(?:T([01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,3})?)?)?$/;

/** Throws for anything but a local date, or date and time, without a time zone. */
export function assertAnchor(where: string, value: unknown): asserts value is string {
  const [, date] = (typeof value === 'string' ? ANCHOR.exec(value) : undefined) ?? [];
  // Reading a date that does not exist fails, or returns another date.
  const read = new Date(`${date}T00:00Z`);
  if (date !== undefined && !Number.isNaN(read.getTime()) && read.toISOString().startsWith(date)) return;
  throw new ConfigurationError(
    `${where} must be a local date, such as "2026-01-15" or "2026-01-15T06:00"; got ${describeValue(value)}.`,
  );
}
