import { beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { loadTemporal } from '../../lib/common/temporal.js';
import type { CalendarUnit } from '../../lib/strategies/calendar.js';
import { calendarFor, calendarUnits } from '../../lib/strategies/calendars.js';
import { boundsBetween, localTime, windowByDefinition } from '../support/calendar-model.js';
import { RUNS } from '../support/strategies.js';

const ZONES = [
  'Europe/Berlin',
  'America/Sao_Paulo',
  'Australia/Lord_Howe',
  'Asia/Kathmandu',
  'Pacific/Apia',
  'America/St_Johns',
];
const DAY = 86_400_000;

/** `temporal-polyfill` knows the changes of clocks up to ten years from now. */
const KNOWN_UNTIL = Date.UTC(new Date().getUTCFullYear() + 10, 0, 1);

/** Spans of ten years: the first has the changes of Sao Paulo, the day that Apia skipped, and those of St. John's at 00:01. */
const SPANS = [
  ['2008 to 2018', Date.UTC(2008, 0, 1), Date.UTC(2018, 0, 1)],
  ['2026 to 2036', Date.UTC(2026, 0, 1), Date.UTC(2036, 0, 1)],
] as const;

const RULES: readonly [unit: CalendarUnit, multiple: number, anchor: string][] = [
  ['day', 1, '1970-01-01'],
  ['day', 1, '2011-03-27T02:30'],
  ['day', 3, '2026-01-15'],
  ['week', 1, '1970-01-05'],
  ['week', 2, '2010-10-31T02:30'],
  ['month', 1, '1970-01-01'],
  ['month', 1, '2026-01-29'],
  ['month', 1, '2026-01-30T02:30'],
  ['month', 1, '2026-01-31'],
  ['month', 3, '2011-12-30'],
  ['year', 1, '2024-02-29'],
  ['hour', 1, '1970-01-01'],
  ['hour', 1, '2026-01-01T00:15'],
  ['hour', 5, '2026-03-29T02:30'],
  ['minute', 45, '1970-01-01'],
];

/** Returns the bounds of consecutive windows in [from, to), and fails for a gap or an overlap. */
function walk(rule: Parameters<typeof calendarFor>[0], from: number, to: number): number[] {
  const calendar = calendarFor(rule);
  const bounds: number[] = [];
  let window = calendar.windowAt(from);
  if (window.start === from) bounds.push(from);
  while (window.end < to) {
    const next = calendar.windowAt(window.end);
    if (next.start !== window.end || next.end <= next.start || calendar.windowAt(next.end - 1) !== next)
      throw new Error(
        `${JSON.stringify(rule)}: ${JSON.stringify(window)} is followed by ${JSON.stringify(next)}`,
      );
    bounds.push(next.start);
    window = next;
  }
  return bounds;
}

beforeAll(async () => loadTemporal());

describe.each(SPANS)('From %s, the windows of a calendar', (_name, from, to) => {
  describe.each(ZONES)('in %s', (timeZone) => {
    it.each(RULES)(
      'of %s × %i from %s meet, and are those of the clock of the zone',
      (unit, multiple, anchor) => {
        const rule = { unit, multiple, timeZone, anchor };

        expect(walk(rule, from, to)).toEqual(boundsBetween(rule, from, to));
      },
    );
  });
});

describe('The windows of any calendar', () => {
  const rules = fc.record({
    unit: fc.constantFrom(...calendarUnits),
    multiple: fc.integer({ min: 1, max: 40 }),
    timeZone: fc.constantFrom(...ZONES),
    anchor: fc
      .tuple(
        fc.integer({ min: Date.UTC(1990, 0, 1), max: Date.UTC(2040, 0, 1) }),
        fc.constantFrom('T00:00', 'T00:00:00.001', 'T02:30', 'T23:59:59.999'),
      )
      .map(([day, time]) => new Date(day).toISOString().slice(0, 10) + time),
  });
  const instants = fc.integer({ min: Date.UTC(2007, 0, 1), max: Date.UTC(2037, 0, 1) });

  it('are those of the clock of the zone, at any instant and in any order', () => {
    fc.assert(
      fc.property(rules, fc.array(instants, { minLength: 1, maxLength: 3 }), (rule, times) => {
        fc.pre(!['millisecond', 'second'].includes(rule.unit));
        for (const time of times) {
          const window = windowByDefinition(rule, time);
          fc.pre(window.end < KNOWN_UNTIL);
          expect(calendarFor(rule).windowAt(time)).toEqual(window);
        }
      }),
      { numRuns: Math.ceil(RUNS.numRuns / 5) },
    );
  });

  it('surround an instant without a gap, and are the same from every instant within', () => {
    fc.assert(
      fc.property(rules, instants, fc.nat(), (rule, time, seed) => {
        const { previous, current, next } = calendarFor(rule).around(time);
        expect([previous.end, current.end]).toEqual([current.start, next.start]);
        expect(current.start <= time && time < current.end).toBe(true);
        const within = current.start + (seed % (current.end - current.start));
        const another = calendarFor({ ...rule, unit: rule.unit });
        expect(another.around(within).current).toEqual(current);
      }),
      RUNS,
    );
  });
});

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
});
