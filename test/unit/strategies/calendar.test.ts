import { beforeAll, describe, expect, it } from '@jest/globals';
import { ConfigurationError, loadTemporal } from 'nestjs-limits';
import { temporal } from '../../../lib/common/temporal.js';
import { Calendar, type CalendarRule, type CalendarUnit } from '../../../lib/strategies/calendar.js';
import {
  boundsAround,
  calendarFor,
  calendarOf,
  calendarOptions,
  type CalendarOptions,
} from '../../../lib/strategies/calendars.js';
import { localTime, windowByDefinition } from '../../support/calendar-model.js';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

beforeAll(async () => loadTemporal());

describe('The windows of a calendar', () => {
  it('of days have 23 and 25 hours where the clock changes', () => {
    const calendar = calendarFor({ unit: 'day', timeZone: 'Europe/Berlin' });
    const hours = (day: string): number => {
      const { start, end } = calendar.windowAt(Date.parse(day));
      return (end - start) / 3_600_000;
    };

    expect(['2026-03-28T12:00Z', '2026-03-29T12:00Z', '2026-10-25T12:00Z'].map(hours)).toEqual([24, 23, 25]);
  });

  it('of months from the 31st begin on the last day of shorter ones', () => {
    const calendar = calendarFor({ unit: 'month', anchor: '2026-01-31' });
    const starts = ['2026-02-10', '2026-03-10', '2026-04-10', '2026-05-10', '2026-06-10'].map((day) =>
      new Date(calendar.windowAt(Date.parse(day)).start).toISOString().slice(0, 10),
    );

    expect(starts).toEqual(['2026-01-31', '2026-02-28', '2026-03-31', '2026-04-30', '2026-05-31']);
  });

  it('pass over the day that Apia skipped, before and after any time of day', () => {
    for (const anchor of ['1970-01-01', '1970-01-01T00:15', '1970-01-01T12:00']) {
      for (const unit of ['day', 'hour'] as const) {
        const calendar = calendarFor({ unit, timeZone: 'Pacific/Apia', anchor });
        const change = Date.UTC(2011, 11, 30, 10); // 2011-12-29T24:00 there, and 2011-12-31T00:00
        expect(localTime('Pacific/Apia', change)).toBe(Date.UTC(2011, 11, 31));
        for (const time of [change - 1, change, change + 600_000]) {
          const { start, end } = calendar.windowAt(time);
          expect(start <= time && time < end && end - start <= 2 * DAY).toBe(true);
        }
      }
    }
  });

  it('below a day end with the day', () => {
    const { start, end } = calendarFor({ unit: 'hour', multiple: 36 }).windowAt(Date.UTC(2026, 0, 2, 20));

    expect([start, end]).toEqual([Date.UTC(2026, 0, 2), Date.UTC(2026, 0, 3)]);
  });

  it('of one rule are computed once', () => {
    const rule = { unit: 'month', timeZone: 'Asia/Kathmandu', anchor: '2026-01-15' } as const;
    const { current } = calendarFor(rule).around(Date.UTC(2026, 5, 1));

    expect(calendarFor({ ...rule })).toBe(calendarFor(rule));
    expect(calendarFor(rule).around(Date.UTC(2026, 5, 2)).current).toBe(current);
  });

  it('of weeks begin on Mondays, and of other units with 1970, in UTC', () => {
    const startOf = (unit: CalendarUnit): string =>
      new Date(calendarFor({ unit }).windowAt(Date.parse('2026-11-29T18:47:45.678Z')).start).toISOString();

    expect(startOf('week')).toBe('2026-11-23T00:00:00.000Z');
    expect(startOf('year')).toBe('2026-01-01T00:00:00.000Z');
    expect(startOf('month')).toBe('2026-11-01T00:00:00.000Z');
    expect(startOf('day')).toBe('2026-11-29T00:00:00.000Z');
    expect(startOf('hour')).toBe('2026-11-29T18:00:00.000Z');
    expect(startOf('minute')).toBe('2026-11-29T18:47:00.000Z');
    expect(startOf('second')).toBe('2026-11-29T18:47:45.000Z');
    expect(startOf('millisecond')).toBe('2026-11-29T18:47:45.678Z');
  });

  it('below a day begin at the time of day of the anchor, to the ms', () => {
    const calendar = calendarFor({ unit: 'hour', multiple: 12, anchor: '2026-01-01T01:02:03.004' });
    const offset = HOUR + 2 * 60_000 + 3004;

    expect(calendar.windowAt(Date.UTC(2026, 5, 1, 12))).toEqual({
      start: Date.UTC(2026, 5, 1) + offset,
      end: Date.UTC(2026, 5, 1, 12) + offset,
    });
    expect(calendar.windowAt(Date.UTC(2026, 5, 1))).toEqual({
      start: Date.UTC(2026, 4, 31, 12) + offset,
      end: Date.UTC(2026, 5, 1) + offset,
    });
  });

  it('have the neighbours next to them', () => {
    const month = calendarFor({ unit: 'month' });
    const starts = [1, 2, 3, 4].map((index) => Date.UTC(2026, index, 1));

    expect(boundsAround(month, Date.UTC(2026, 2, 15))).toEqual(starts);
    const rule = { unit: 'month', multiple: 1, timeZone: 'UTC', anchor: '1970-01-01' } as const;
    expect(boundsAround(rule, Date.UTC(2026, 2, 15))).toEqual(starts);
  });

  it('are found again without a computation, in the one that was asked for last and in its neighbours', () => {
    const calendar = calendarFor({ unit: 'day', multiple: 7 });
    const { previous, current, next } = calendar.around(Date.UTC(2026, 2, 15));

    for (const window of [previous, current, next])
      for (const time of [window.start, window.end - 1]) expect(calendar.windowAt(time)).toBe(window);
    const after = calendar.around(next.start);
    expect([after.previous, after.current]).toEqual([current, next]);
    expect(after.next.start).toBe(next.end);
    expect(calendar.around(next.end - 1)).toBe(after);
  });
});

/** Rules, and an instant near which their windows are irregular. */
const IRREGULAR: readonly (readonly [rule: CalendarRule, near: string])[] = [
  [{ unit: 'day', multiple: 1, timeZone: 'Europe/Berlin', anchor: '2011-03-27T02:30' }, '2026-03-29T01:00Z'],
  [{ unit: 'day', multiple: 3, timeZone: 'America/Sao_Paulo', anchor: '2026-01-15' }, '2017-10-15T03:00Z'],
  [{ unit: 'day', multiple: 1, timeZone: 'Pacific/Apia', anchor: '1970-01-01' }, '2011-12-30T10:00Z'],
  [{ unit: 'week', multiple: 2, timeZone: 'Europe/Berlin', anchor: '2010-10-31T02:30' }, '2026-10-25T01:00Z'],
  [{ unit: 'month', multiple: 1, timeZone: 'Asia/Kathmandu', anchor: '2026-01-31' }, '2026-02-28T00:00Z'],
  [
    { unit: 'month', multiple: 3, timeZone: 'Australia/Lord_Howe', anchor: '2011-12-30' },
    '2027-02-28T12:00Z',
  ],
  [{ unit: 'year', multiple: 1, timeZone: 'Europe/Berlin', anchor: '2024-02-29' }, '2026-02-28T00:00Z'],
  [{ unit: 'hour', multiple: 5, timeZone: 'Europe/Berlin', anchor: '2026-03-29T02:30' }, '2026-03-29T01:00Z'],
  [{ unit: 'hour', multiple: 1, timeZone: 'America/St_Johns', anchor: '1970-01-01' }, '2011-11-06T02:31Z'],
  [
    { unit: 'minute', multiple: 45, timeZone: 'Pacific/Apia', anchor: '1970-01-01T12:00' },
    '2011-12-30T10:00Z',
  ],
];

describe('Where they are irregular, the windows of a calendar', () => {
  const instants = (rule: CalendarRule, near: string): number[] => {
    const step = windowByDefinition(rule, Date.parse(near));
    return [-2, -1, -0.5, 0, 0.5, 1, 2].map((windows) =>
      Math.round(Date.parse(near) + windows * (step.end - step.start)),
    );
  };

  it.each(IRREGULAR)('of %j are those of the clock of the zone near %s', (rule, near) => {
    const times = instants(rule, near);
    for (const order of [times, times.toReversed()]) {
      const calendar = new Calendar(temporal(), rule);
      for (const time of order) {
        const { previous, current, next } = calendar.around(time);
        const expected = windowByDefinition(rule, time);
        expect({ time, ...current }).toEqual({ time, ...expected });
        expect(previous).toEqual(windowByDefinition(rule, expected.start - 1));
        expect(next).toEqual(windowByDefinition(rule, expected.end));
      }
    }
  });
});

describe('A calendar', () => {
  it.each<[options: Partial<Record<keyof CalendarOptions, unknown>>, message: string]>([
    [{ unit: 'fortnight' }, 'The unit of a calendar window must be one of'],
    [{ multiple: 0 }, 'The multiple of a calendar window must be'],
    [{ multiple: 1.5 }, 'The multiple of a calendar window must be'],
    [
      { unit: 'year', multiple: 100_001 },
      'A calendar window of 100001 years is too long: the longest is 100,000 years.',
    ],
    ...['', 'Mars', '+01:00', '-0100', '5', 5, null].map((timeZone): [{ timeZone: unknown }, string] => [
      { timeZone },
      'The timeZone of a calendar window must be the name of an IANA time zone, such as "Europe/Berlin"; got',
    ]),
    ...[
      '',
      '15',
      '2026-02-29',
      '2026-13-01',
      '02026-01-15',
      '2026-01-15T',
      '2026-01-15T24:00',
      '2026-01-15T30:00',
      '2026-01-15T10:60',
      '2026-01-15T10:00:60',
      '2026-01-15T10:00:00.0000',
      '2026-01-15T10:00:00.',
      '2026-01-15T10:00Z',
      '2026-01-15 10:00',
      new Date(0),
    ].map((anchor): [{ anchor: unknown }, string] => [
      { anchor },
      'The anchor of a calendar window must be a local date, such as "2026-01-15" or "2026-01-15T06:00"; got',
    ]),
  ])('is refused with %j', (options, message) => {
    const create = () => calendarFor({ unit: 'month', ...options } as CalendarOptions);
    expect(create).toThrow(ConfigurationError);
    expect(create).toThrow(message);
  });

  it.each([
    '2024-02-29',
    '2026-01-15T00:00',
    '2026-01-15T09:59',
    '2026-01-15T19:00:59',
    '2026-01-15T23:00:00.1',
    '2026-01-15T23:00:00.123',
  ])('begins at %s', (anchor) => {
    const start = Date.parse(anchor.includes('T') ? `${anchor}Z` : `${anchor}T00:00Z`);
    expect(calendarFor({ unit: 'day', anchor }).windowAt(start)).toEqual({ start, end: start + DAY });
  });

  it('is as long as 100,000 years', () => {
    const { start, end } = calendarFor({ unit: 'year', multiple: 100_000 }).windowAt(0);
    expect([start, new Date(end).getUTCFullYear()]).toEqual([0, 101_970]);
  });

  it('is the same for equal rules, also for one that was serialised', () => {
    const calendar = calendarFor({ unit: 'month', timeZone: 'Asia/Kathmandu' });
    expect(calendarOf(calendar)).toBe(calendar);
    expect(calendarOf(JSON.parse(JSON.stringify(calendar)) as CalendarRule)).toBe(calendar);
    expect(calendarFor({ unit: 'month', multiple: 2, timeZone: 'Asia/Kathmandu' })).not.toBe(calendar);
  });

  it('has the units of the notation, but no custom one', () => {
    expect(calendarOptions('week', 2, { timeZone: 'Europe/Berlin', anchor: '2026-01-15' })).toEqual({
      unit: 'week',
      multiple: 2,
      timeZone: 'Europe/Berlin',
      anchor: '2026-01-15',
    });
    const custom = () => calendarOptions('fortnight', 1, {});
    expect(custom).toThrow(ConfigurationError);
    expect(custom).toThrow(
      'A calendar has no unit "fortnight", so that the strategy "calendar-window" cannot count by it. ' +
        'It has: millisecond, second, minute, hour, day, week, month, year.',
    );
  });
});
