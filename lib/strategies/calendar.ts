import type { Temporal as TemporalSpec } from 'temporal-spec';

/** The part of `Temporal` that calendars use: the engine's own, or that of `temporal-polyfill`. */
export type TemporalApi = Pick<typeof TemporalSpec, 'Instant' | 'PlainDateTime'>;

/** Units of calendar windows. */
export type CalendarUnit =
  'millisecond' | 'second' | 'minute' | 'hour' | 'day' | 'week' | 'month' | 'year';

/** What the windows of a calendar are. */
export interface CalendarRule {
  readonly unit: CalendarUnit;
  /** Units per window, at least 1. */
  readonly multiple: number;
  /** An IANA time zone, such as `'Europe/Berlin'`. */
  readonly timeZone: string;
  /** Local date, or date and time, from which the windows step in both directions: `'2026-01-15'`. */
  readonly anchor: string;
}

/** One window, in epoch ms: from `start`, up to but not including `end`. */
export interface CalendarWindow {
  readonly start: number;
  readonly end: number;
}

/** Lengths of the units below a day in ms. */
const LENGTHS: Partial<Record<CalendarUnit, number>> = {
  millisecond: 1,
  second: 1000,
  minute: 60_000,
  hour: 3_600_000,
};

/**
 * The windows of a calendar: consecutive, without gaps and overlaps.
 *
 * - Days, weeks, months and years step from the anchor itself: the 31st is the 30th in April and the 31st again in May, and a day
 *   of 23 or 25 hours is one day. A window that would be empty, as a day that a zone has skipped, is left out.
 * - Units below a day step from the local start of day plus the anchor's time of day. The last window of a day ends with it.
 * - A local time in a gap shifts forward by the length of the gap; of a repeated time the first is meant.
 */
export class Calendar {
  readonly #anchor: TemporalSpec.PlainDateTime;
  #newest: CalendarWindow = { start: Infinity, end: -Infinity };

  /** @throws RangeError if the time zone or the anchor cannot be read */
  constructor(
    private readonly temporal: TemporalApi,
    readonly rule: CalendarRule,
  ) {
    this.#anchor = temporal.PlainDateTime.from(rule.anchor, { overflow: 'reject' });
    this.#anchor.toZonedDateTime(rule.timeZone);
  }

  /** Returns the window that holds an instant in epoch ms. */
  windowAt(now: number): CalendarWindow {
    if (now < this.#newest.start || now >= this.#newest.end) this.#newest = this.#find(now);
    return this.#newest;
  }

  #find(now: number): CalendarWindow {
    const local = this.temporal.Instant.fromEpochMilliseconds(now).toZonedDateTimeISO(this.rule.timeZone);
    const length = LENGTHS[this.rule.unit];
    return length === undefined ? this.#findDated(now, local) : this.#findTimed(now, local, length);
  }

  /** A window of days or longer: counts the steps from the anchor, and corrects the count by what the bounds say. */
  #findDated(now: number, local: TemporalSpec.ZonedDateTime): CalendarWindow {
    const { unit, multiple } = this.rule;
    const passed = this.#anchor.until(local.toPlainDateTime(), { largestUnit: unit })[`${unit}s` as 'days'];
    let step = Math.floor(passed / multiple);
    while (this.#bound(step) > now) step--;
    while (this.#bound(step + 1) <= now) step++;
    return { start: this.#bound(step), end: this.#bound(step + 1) };
  }

  #bound(step: number): number {
    const { unit, multiple, timeZone } = this.rule;
    return this.#anchor.add({ [`${unit}s`]: step * multiple }).toZonedDateTime(timeZone).epochMilliseconds;
  }

  /** A window below a day. */
  #findTimed(now: number, local: TemporalSpec.ZonedDateTime, unit: number): CalendarWindow {
    let day = local;
    while (this.#origin(day) > now) day = day.subtract({ days: 1 });
    let next = day.add({ days: 1 });
    while (this.#origin(next) <= now) {
      day = next;
      next = day.add({ days: 1 });
    }
    const length = unit * this.rule.multiple;
    const origin = this.#origin(day);
    const start = origin + Math.floor((now - origin) / length) * length;
    return { start, end: Math.min(start + length, this.#origin(next)) };
  }

  /** Where the windows of a day begin. */
  #origin(day: TemporalSpec.ZonedDateTime): number {
    const { hour, minute, second, millisecond } = this.#anchor;
    const offset = hour * 3_600_000 + minute * 60_000 + second * 1000 + millisecond;
    return day.startOfDay().epochMilliseconds + offset;
  }
}
