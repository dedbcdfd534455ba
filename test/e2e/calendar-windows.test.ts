import { expect, it } from '@jest/globals';
import { Controller, Get, HttpException, type ExecutionContext } from '@nestjs/common';
import {
  RateLimit,
  RateLimitItem,
  RateLimiterService,
  type RateLimitModuleOptions,
  type RateLimitRule,
} from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { describeOverHttp, limited } from '../support/http-app.js';

const DAY = 86_400;

interface Request {
  readonly headers: Record<string, string | undefined>;
}

const header = (name: string) => (context: ExecutionContext) =>
  context.switchToHttp().getRequest<Request>().headers[name];

const customer = (id: string, anchor?: string, zone?: string): Record<string, string> => ({
  'x-customer': id,
  ...(anchor === undefined ? {} : { 'x-anchor': anchor }),
  ...(zone === undefined ? {} : { 'x-zone': zone }),
});

class PerFortnight extends RateLimitItem {
  static override readonly granularity = { name: 'fortnight', milliseconds: 14 * DAY * 1000 };
}

@Controller()
@RateLimit('9/second', { name: 'burst' })
class QuotaController {
  @Get('month')
  @RateLimit('2/month', { strategy: 'calendar-window', timeZone: 'Europe/Berlin', anchor: '2026-01-15' })
  month() {
    return '';
  }

  @Get('customers')
  @RateLimit('2/month', {
    name: 'quota',
    strategy: 'calendar-window',
    key: 'header:x-customer',
    anchor: header('x-anchor'),
    timeZone: header('x-zone'),
  })
  customers() {
    return '';
  }

  @Get('plans')
  @RateLimit(
    { free: '1/day', pro: '3/day; 4/month' },
    { name: 'plans', strategy: 'calendar-window', block: '1 hour' },
  )
  plans() {
    return '';
  }

  @Get('shadow')
  @RateLimit('1/day', { name: 'shadow', strategy: 'calendar-window', mode: 'shadow' })
  shadow() {
    return '';
  }

  @Get('failures')
  @RateLimit('1/day', { name: 'failures', strategy: 'calendar-window', count: 'success' })
  failures() {
    throw new HttpException('', 422);
  }
}

describeOverHttp('Calendar windows', (start) => {
  const clock = new ManualClock(Date.parse('2026-03-14T22:00Z')); // 23:00 in Berlin
  const open = (options: RateLimitModuleOptions = {}) => {
    clock.set(Date.parse('2026-03-14T22:00Z'));
    return start(limited([QuotaController], options, clock));
  };
  const policyOf = (headers: Headers, name: string): string | undefined =>
    headers
      .get('ratelimit-policy')
      ?.split(', ')
      .find((member) => member.startsWith(`"${name}`));

  it('tell the length of the current window, and end with it', async () => {
    const app = await open();
    const first = await app.get('/month');
    expect(policyOf(first.headers, 'default')).toBe(`"default";q=2;w=${28 * DAY}`);
    expect(first.headers.get('ratelimit')).toContain('"default";r=1;t=3600');
    expect(await app.statuses(2, '/month')).toEqual([200, 429]);

    clock.advance(3_600_000);
    const next = await app.get('/month');
    // The clock is put forward on the 29th of March.
    expect(policyOf(next.headers, 'default')).toBe(`"default";q=2;w=${31 * DAY - 3600}`);
    expect(next.headers.get('ratelimit')).toContain(`"default";r=1;t=${31 * DAY - 3600}`);
  });

  it('are named in a refusal', async () => {
    const app = await open();
    await app.statuses(2, '/month');
    const refused = await app.get('/month');
    expect(refused.headers.get('retry-after')).toBe('3600');
    expect(refused.body).toMatchObject({
      message: 'Rate limit "default" exceeded: 2 per month. Try again in 3600 s.',
      limit: { amount: 2, period: 28 * DAY },
    });
  });

  it('begin on the billing day of each customer, in the time zone of each', async () => {
    const app = await open();
    const seconds = async (headers: Record<string, string>): Promise<string | undefined> =>
      /"quota";r=\d+;t=(\d+)/.exec(
        (await app.get('/customers', headers)).headers.get('ratelimit') ?? '',
      )?.[1];

    expect(await seconds(customer('a', '2025-07-15', 'Europe/Berlin'))).toBe('3600');
    expect(await seconds(customer('b', '2025-07-15'))).toBe('7200');
    expect(await seconds(customer('c', '2025-12-31T12:00'))).toBe(String(16 * DAY + 14 * 3600));
    expect(await seconds(customer('d'))).toBe(String(17 * DAY + 2 * 3600));
  });

  it('end at the earlier of both ends when the billing day changes', async () => {
    const app = await open();
    const left = async (anchor: string): Promise<string | undefined> =>
      /"quota";[^,]*/.exec(
        (await app.get('/customers', customer('a', anchor))).headers.get('ratelimit') ?? '',
      )?.[0];

    expect(await left('2026-01-01')).toBe(`"quota";r=1;t=${17 * DAY + 2 * 3600}`);
    expect(await left('2026-01-20')).toBe(`"quota";r=0;t=${5 * DAY + 2 * 3600}`);
    expect(await left('2026-01-25')).toBe(`"quota";r=0;t=${5 * DAY + 2 * 3600}`);
  });

  it('fail a request for which a function returns no date, and name it', async () => {
    const app = await open();
    expect((await app.get('/customers', customer('a', 'soon'))).status).toBe(500);
    expect(app.log.errors.join()).toContain('got the string "soon"');
  });

  it('are counted by hand at the position that is given', async () => {
    const app = await open();
    const limiter = app.nest.get(RateLimiterService);
    await app.get('/customers', customer('a', '2026-01-15'));
    const decision = await limiter.peek({ policy: 'quota', anchor: '2026-01-15', timeZone: 'UTC' }, 'a');
    expect([decision.remaining, decision.resetTime]).toEqual([1, Date.parse('2026-03-15T00:00Z')]);
    await limiter.clear({ policy: 'quota', anchor: '2026-01-15', timeZone: 'UTC' }, 'a');
    expect((await app.get('/customers', customer('a', '2026-01-15'))).remaining).toContain('"quota";r=1');

    expect(() => limiter.peek({ policy: 'quota', timeZone: 'UTC' }, 'a')).toThrow(
      `The policy "quota" finds its anchor out for each request. By hand, give it: { policy: 'quota', anchor }.`,
    );
    expect(() => limiter.peek({ policy: 'burst', anchor: '2026-01-15' }, '::1')).toThrow(
      'The policy "burst" has no calendar windows, so it has no anchor.',
    );
  });

  it('keep their counts when the plan changes, and block', async () => {
    const planOf = (context: ExecutionContext) => header('x-plan')(context);
    const app = await open({ plan: planOf });
    const statuses = async (...plans: string[]): Promise<number[]> => {
      const found: number[] = [];
      for (const plan of plans) found.push((await app.get('/plans', { 'x-plan': plan })).status);
      return found;
    };
    expect(await statuses('free', 'pro', 'pro', 'pro')).toEqual([200, 200, 200, 429]);
    clock.advance(2 * 3_600_000); // the next day, and the block is over
    expect(await statuses('pro', 'pro', 'free')).toEqual([200, 200, 429]);
  });

  it('refuse nothing in shadow mode, and give back what does not count', async () => {
    const app = await open();
    expect(await app.statuses(3, '/shadow')).toEqual([200, 200, 200]);
    expect(await app.statuses(3, '/failures')).toEqual([422, 422, 422]);
  });

  it('are an option of rules, at the start and later', async () => {
    const rule: RateLimitRule = {
      id: 'all',
      path: '/**',
      limits: '5/week',
      strategy: 'calendar-window',
      timeZone: 'Asia/Kathmandu',
    };
    const app = await open({ rules: [rule] });
    // The week ends on Monday the 16th, 00:00 in Kathmandu.
    expect((await app.get('/shadow')).headers.get('ratelimit')).toContain(`"all";r=4;t=${20 * 3600 + 900}`);
    const limiter = app.nest.get(RateLimiterService);
    await limiter.setRules([{ ...rule, anchor: '2026-01-03' }]);
    expect((await app.get('/shadow')).remaining).toContain('"all";r=3');
    expect(() => limiter.setRules([{ ...rule, anchor: '2026-02-30' }])).toThrow(
      'The rule "all": The option "anchor" must be a local date, such as "2026-01-15" or "2026-01-15T06:00"; got the string "2026-02-30".',
    );
  });

  it('take the time zone and the anchor of the module, by hand too', async () => {
    const app = await open({
      strategy: 'calendar-window',
      timeZone: 'Europe/Berlin',
      anchor: '2026-01-15',
      limits: '5/month',
    });
    expect((await app.get('/plans')).headers.get('ratelimit')).toContain('"default";r=4;t=3600');
    const decision = await app.nest.get(RateLimiterService).consume('3/month', 'exports', 'a');
    expect(decision.resetTime - decision.now).toBe(3_600_000);
  });

  it('are not counted by hand without a policy where the module finds their anchor for each request', async () => {
    const app = await open({ strategy: 'calendar-window', anchor: header('x-anchor'), limits: '5/month' });
    const anchor = { 'x-anchor': '2026-01-15' };
    expect((await app.get('/shadow', anchor)).headers.get('ratelimit')).toContain('"default";r=4;t=7200');
    const limiter = app.nest.get(RateLimiterService);
    expect(() => limiter.hit('3/month', 'exports')).toThrow(
      'The anchor of RateLimitModule is found for each request. By hand, name a policy: { policy, anchor }.',
    );
    const decision = await limiter.peek(
      { policy: 'default', route: 'GET /shadow', anchor: '2026-01-15' },
      '127.0.0.1',
    );
    expect(decision.remaining).toBe(4);
  });

  it.each([
    [
      { limits: [{ limits: '1/day', strategy: 'fixed-window', anchor: '2026-01-01' }] },
      'RateLimitModule: The option "anchor" is for the strategy "calendar-window" only, not for "fixed-window".',
    ],
    [
      { timeZone: 'Mars/Base' },
      'The option "timeZone" of RateLimitModule must be the name of an IANA time zone, such as "Europe/Berlin"; got the string "Mars/Base".',
    ],
    [
      { timeZone: '+01:00' },
      'The option "timeZone" of RateLimitModule must be the name of an IANA time zone, such as "Europe/Berlin"; got the string "+01:00".',
    ],
    [
      { anchor: '2026-01-15T00:00Z' },
      'The option "anchor" of RateLimitModule must be a local date, such as "2026-01-15" or "2026-01-15T06:00"; got the string "2026-01-15T00:00Z".',
    ],
    [
      { strategy: 'calendar-window', limits: new PerFortnight(1) },
      'RateLimitModule: A calendar has no unit "fortnight", so that the strategy "calendar-window" cannot count by it. It has: millisecond, second, minute, hour, day, week, month, year.',
    ],
    [
      { strategy: 'calendar-window', limits: '1/day; 2/1 day' },
      'The policy "default" has two limits per day with the strategy "calendar-window", which would share one count.',
    ],
  ] as [RateLimitModuleOptions, string][])(
    'stop the start where they are invalid: %j',
    async (options, message) => {
      await expect(open(options)).rejects.toThrow(message);
    },
  );

  it('of a month and of 30 days are different windows', async () => {
    const app = await open({ strategy: 'calendar-window', limits: '5/month; 4/30 days' });
    expect((await app.get('/shadow')).headers.get('ratelimit-policy')).toContain(
      `"default/month";q=5;w=${31 * DAY}, "default/30-day";q=4;w=${30 * DAY}`,
    );
  });
});
