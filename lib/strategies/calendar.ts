import type { Temporal } from 'temporal-polyfill';
import type { TemporalApi } from '../common/temporal.js';

/** Units of calendar windows. */
export type CalendarUnit = 'millisecond' | 'second' | 'minute' | 'hour' | 'day' | 'week' | 'month' | 'year';

/** The rule by which a calendar has windows. */
export interface CalendarRule {
  /** The unit of a window's length. */
  readonly unit: CalendarUnit;
  /** Units per window; a whole number, at least 1. */
  readonly multiple: number;
  /** An IANA time zone: `'Europe/Berlin'`. */
  readonly timeZone: string;
  /** Local date, or date and time, from which the windows step in both directions: `'2026-01-15'`. */
  readonly anchor: string;
}

/** One window, in epoch ms: from `start`, up to but not including `end`. */
export interface CalendarWindow {
  readonly start: number;
  readonly end: number;
}

/** The windows near an instant, without gaps between them. */
export interface NearWindows {
  readonly previous: CalendarWindow;
  readonly current: CalendarWindow;
  readonly next: CalendarWindow;
}

/** Lengths of the units below a day in ms. */
const LENGTHS: Partial<Record<CalendarUnit, number>> = {
  millisecond: 1,
  second: 1000,
  minute: 60_000,
  hour: 3_600_000,
};

const NEVER: CalendarWindow = { start: Infinity, end: -Infinity };

/**
 * The windows of a calendar: consecutive, without gaps and overlaps. Caches those near the instant that was asked for last.
 *
 * - Days, weeks, months and years step from the anchor itself: the 31st is the 30th in April and the 31st again in May, and a day
 *   of 23 or 25 hours is one day. A window that would be empty, as a day that a zone has skipped, is left out.
 * - Units below a day step from the local start of day plus the anchor's time of day. The last window of a day ends with it.
 * - A local time in a gap shifts forward by the length of the gap; of a repeated time the first is meant.
 */
export class Calendar implements CalendarRule {
  readonly unit: CalendarUnit;
  readonly multiple: number;
  readonly timeZone: string;
  readonly anchor: string;
  readonly #temporal: TemporalApi;
  readonly #anchor: Temporal.PlainDateTime;
  #near: NearWindows = { previous: NEVER, current: NEVER, next: NEVER };
  /** The day of the last window below a day: where its windows begin and end. */
  #day = NEVER;

  /** @throws RangeError if the time zone or the anchor cannot be read */
  constructor(temporal: TemporalApi, { unit, multiple, timeZone, anchor }: CalendarRule) {
    this.unit = unit;
    this.multiple = multiple;
    this.timeZone = timeZone;
    this.anchor = anchor;
    this.#temporal = temporal;
    this.#anchor = temporal.PlainDateTime.from(anchor, { overflow: 'reject' });
    this.#anchor.toZonedDateTime(timeZone);
  }

  /** Returns the window that holds an instant in epoch ms. */
  windowAt(now: number): CalendarWindow {
    const { previous, current, next } = this.#near;
    if (holds(current, now)) return current;
    if (holds(next, now)) return next;
    return holds(previous, now) ? previous : this.around(now).current;
  }

  /** Returns the window that holds an instant in epoch ms, and its neighbours; the same object while the window is the same. */
  around(now: number): NearWindows {
    const { current, next } = this.#near;
    if (holds(current, now)) return this.#near;
    this.#near = holds(next, now)
      ? { previous: current, current: next, next: this.#find(next.end) }
      : this.#findAround(now);
    return this.#near;
  }

  #findAround(now: number): NearWindows {
    const current = this.#find(now);
    return { previous: this.#find(current.start - 1), current, next: this.#find(current.end) };
  }

  #find(now: number): CalendarWindow {
    const length = LENGTHS[this.unit];
    return length === undefined ? this.#findDated(now) : this.#findTimed(now, length * this.multiple);
  }

  /** A window of days or longer: counts the steps from the anchor, and corrects the count by what the bounds say. */
  #findDated(now: number): CalendarWindow {
    const { unit, multiple } = this;
    const passed = this.#anchor.until(this.#local(now).toPlainDateTime(), { largestUnit: unit });
    let step = Math.floor(passed[`${unit}s` as 'days'] / multiple);
    let start = this.#bound(step);
    while (start > now) start = this.#bound(--step);
    let end = this.#bound(step + 1);
    while (end <= now) {
      start = end;
      end = this.#bound(++step + 1);
    }
    return { start, end };
  }

  #bound(step: number): number {
    const { unit, multiple, timeZone } = this;
    return this.#anchor.add({ [`${unit}s`]: step * multiple }).toZonedDateTime(timeZone).epochMilliseconds;
  }

  /** A window below a day. */
  #findTimed(now: number, length: number): CalendarWindow {
    if (!holds(this.#day, now)) this.#day = this.#findDay(now);
    const { start, end } = this.#day;
    const windowStart = start + Math.floor((now - start) / length) * length;
    return { start: windowStart, end: Math.min(windowStart + length, end) };
  }

  #findDay(now: number): CalendarWindow {
    let date = this.#local(now).toPlainDate();
    let start = this.#origin(date);
    while (start > now) {
      date = date.subtract({ days: 1 });
      start = this.#origin(date);
    }
    let end = start;
    while (end <= now) {
      start = end;
      date = date.add({ days: 1 });
      end = this.#origin(date);
    }
    return { start, end };
  }

  /** Returns the epoch ms at which the windows of a day begin. */
  #origin(date: Temporal.PlainDate): number {
    const { hour, minute, second, millisecond } = this.#anchor;
    const offset = hour * 3_600_000 + minute * 60_000 + second * 1000 + millisecond;
    return date.toZonedDateTime(this.timeZone).epochMilliseconds + offset;
  }

  #local(now: number): Temporal.ZonedDateTime {
    return this.#temporal.Instant.fromEpochMilliseconds(now).toZonedDateTimeISO(this.timeZone);
  }
}

function holds({ start, end }: CalendarWindow, now: number): boolean {
  return now >= start && now < end;
}
