import { beforeAll, describe, expect, it } from '@jest/globals';
import { loadTemporal, type PolicyDeclaration } from 'nestjs-limits';
import { compilePolicies } from '../../../lib/policies/compile-policies.js';
import type { CalendarSource, Policy } from '../../../lib/policies/policy.js';

type Declaration = PolicyDeclaration<string>;

function compile(
  declaration: Declaration,
  defaultCalendar?: CalendarSource<string>,
): Policy<string, Declaration['key']> {
  const [policy] = compilePolicies({
    levels: [{ where: '@RateLimit on A.a', scope: 'route', declarations: [declaration], skips: [] }],
    scopes: { route: 'http GET /a', controller: 'http GET /' },
    defaultStrategy: 'fixed-window',
    ...(defaultCalendar === undefined ? {} : { defaultCalendar }),
    assertSupported: () => undefined,
  });
  return policy as Policy<string, Declaration['key']>;
}

const strategy = 'calendar-window';
const DAY = 86_400_000;

beforeAll(async () => loadTemporal());

describe('The calendar of a policy', () => {
  it('is that of its windows, which its id names', () => {
    const policy = compile({
      limits: '5/2 months',
      strategy,
      timeZone: 'Europe/Berlin',
      anchor: '2026-01-15',
    });
    expect(policy.limits).toHaveLength(1);
    expect(policy.limits[0]).toMatchObject({
      id: 'default@route http GET /a:2-month:calendar-window',
      name: 'default',
      period: 60 * DAY,
      calendar: { unit: 'month', multiple: 2, timeZone: 'Europe/Berlin', anchor: '2026-01-15' },
    });
    expect(policy.calendar).toBeUndefined();
  });

  it('is that of the module by default, option by option', () => {
    const module = { timeZone: 'Asia/Kathmandu', anchor: '2026-01-15' };
    const calendarOf = (own: Partial<Declaration>) =>
      compile({ limits: '5/month', strategy, ...own }, module).limits[0]?.calendar;
    expect(calendarOf({})).toMatchObject(module);
    expect(calendarOf({ anchor: '2026-02-01' })).toMatchObject({ ...module, anchor: '2026-02-01' });
    expect(calendarOf({ timeZone: 'UTC' })).toMatchObject({ ...module, timeZone: 'UTC' });
  });

  it('is ignored by policies with another strategy, if it is that of the module', () => {
    const policy = compile({ limits: '5/month' }, { timeZone: () => 'UTC', anchor: '2026-01-15' });
    expect([policy.limits[0]?.calendar, policy.calendar]).toEqual([undefined, undefined]);
  });

  it('is found by functions at a request, and is in UTC from 1970 without them', () => {
    const timeZone = (): string => 'Asia/Kathmandu';
    const anchor = (): string => '2026-01-15';
    const fixed = { timeZone: 'Europe/Berlin', anchor: '2026-02-01' };
    const policyOf = (own: CalendarSource<string>): unknown => {
      const { calendar, limits } = compile({ limits: '5/month', strategy, ...own });
      return [calendar, limits[0]?.calendar?.timeZone, limits[0]?.calendar?.anchor];
    };
    expect(policyOf({ timeZone, anchor })).toEqual([{ timeZone, anchor }, 'UTC', '1970-01-01']);
    expect(policyOf({ ...fixed, timeZone })).toEqual([{ timeZone, anchor: undefined }, 'UTC', '2026-02-01']);
    expect(policyOf({ ...fixed, anchor })).toEqual([
      { timeZone: undefined, anchor },
      'Europe/Berlin',
      '1970-01-01',
    ]);
  });

  it('tells a month from 30 days, in names and counts', () => {
    const { limits } = compile({ limits: '5/month; 9/30 days', strategy });
    expect(limits.map(({ id, name }) => [id, name])).toEqual([
      ['default@route http GET /a:1-month:calendar-window', 'default/month'],
      ['default@route http GET /a:30-day:calendar-window', 'default/30-day'],
    ]);
  });

  it('has each of its windows once', () => {
    expect(() => compile({ limits: '5/month; 9/month', strategy })).toThrow(
      '@RateLimit on A.a: The policy "default" has two limits per month with the strategy "calendar-window"',
    );
  });

  it.each<[string, Declaration, string]>([
    [
      'a time zone without windows',
      { limits: '5/month', timeZone: 'UTC' },
      'The option "timeZone" is for the strategy "calendar-window" only, not for "fixed-window".',
    ],
    [
      'an anchor without windows',
      { limits: '5/month', anchor: '2026-01-15', strategy: 'moving-window' },
      'The option "anchor" is for the strategy "calendar-window" only, not for "moving-window".',
    ],
    [
      'both without windows',
      { limits: '5/month', anchor: () => '2026-01-15', timeZone: () => 'UTC' },
      'The option "timeZone" is for the strategy "calendar-window" only, not for "fixed-window".',
    ],
    [
      'an unknown time zone',
      { limits: '5/month', strategy, timeZone: 'Mars/Base' },
      'The option "timeZone" must be the name of an IANA time zone, such as "Europe/Berlin"; got the string "Mars/Base".',
    ],
    [
      'an anchor that is no date',
      { limits: '5/month', strategy, anchor: '15' },
      'The option "anchor" must be a local date, such as "2026-01-15" or "2026-01-15T06:00"; got the string "15".',
    ],
  ])('is rejected with %s', (_what, declaration, message) => {
    expect(() => compile(declaration)).toThrow(`@RateLimit on A.a: ${message}`);
  });
});
