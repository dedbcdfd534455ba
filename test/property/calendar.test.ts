import { beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { loadTemporal } from '../../lib/common/temporal.js';
import type { CalendarUnit } from '../../lib/strategies/calendar.js';
import { calendarFor, calendarUnits } from '../../lib/strategies/calendars.js';
import { boundsBetween, windowByDefinition } from '../support/calendar-model.js';
import { RUNS } from '../support/strategies.js';

const ZONES = [
  'Europe/Berlin',
  'America/Sao_Paulo',
  'Australia/Lord_Howe',
  'Asia/Kathmandu',
  'Pacific/Apia',
  'America/St_Johns',
];

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
