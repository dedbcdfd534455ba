import { expect, it } from '@jest/globals';
import { Controller, Get, type ExecutionContext } from '@nestjs/common';
import {
  ConfigurationError,
  parse,
  parseMany,
  RateLimit,
  RateLimiterService,
  RateLimitParseError,
  type RateLimitModuleOptions,
} from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { describeOverHttp, limited, type HttpApp, type StartHttpApp } from '../support/http-app.js';

/** The purchases of customers, as a function of the application reads them. */
const bought: Record<string, string> = { acme: '3/hour', big: '50/hour', free: 'unlimited' };

const headerOf = (context: ExecutionContext, name: string): string | undefined =>
  context.switchToHttp().getRequest<{ headers: Record<string, string | undefined> }>().headers[name];
const customerOf = (context: ExecutionContext): string => headerOf(context, 'x-customer') ?? 'acme';

@Controller()
class ApiController {
  @Get('api')
  @RateLimit((context) => bought[customerOf(context)] ?? '1/hour', {
    name: 'api',
    key: customerOf,
    block: ['1 hour', '1 day'],
  })
  api() {
    return '';
  }

  @Get('fixed')
  @RateLimit('3/hour', { name: 'fixed' })
  fixed() {
    return '';
  }

  @Get('planned')
  @RateLimit(() => '2/hour', { name: 'planned', key: customerOf, plans: { pro: '9/hour', off: 'unlimited' } })
  planned() {
    return '';
  }
}

const api = { policy: 'api', limits: '3/hour' };
const as = (customer: string): Record<string, string> => ({ 'x-customer': customer });

async function startApi(
  start: StartHttpApp,
  options: RateLimitModuleOptions = {},
): Promise<{ app: HttpApp; service: RateLimiterService; clock: ManualClock }> {
  const clock = new ManualClock();
  const app = await start(limited([ApiController], options, clock));
  return { app, service: app.nest.get(RateLimiterService), clock };
}

describeOverHttp('A policy whose limits a function returns, given the limits by hand', (start) => {
  it('shows the count of the guard by peek, test and getWindowStats', async () => {
    const { app, service, clock } = await startApi(start);
    const end = clock.now() + 3_600_000;
    expect(service.getWindowStats(api, 'acme')).toEqual({ remaining: 3, resetTime: clock.now() });
    expect(await app.statuses(2, '/api')).toEqual([200, 200]);
    expect(service.getWindowStats(api, 'acme')).toEqual({ remaining: 1, resetTime: end });
    expect((await service.peek(api, 'acme')).remaining).toBe(1);
    expect(service.test(api, 'acme')).toBe(true);
    expect(service.test(api, ['acme'], { cost: 2 })).toBe(false);
  });

  it('is counted by hit, consume and waitFor like by the guard', async () => {
    const { app, service } = await startApi(start);
    expect(service.hit(api, 'acme')).toBe(true);
    expect((await service.consume(api, 'acme')).remaining).toBe(1);
    expect((await service.waitFor(api, ['acme'])).remaining).toBe(0);
    expect(await app.statuses(1, '/api')).toEqual([429]);
    expect(await app.statuses(1, '/api', as('other'))).toEqual([200]);
  });

  it('refunds a decision and units', async () => {
    const { app, service } = await startApi(start);
    const decision = await service.consume(api, 'acme');
    expect((await app.get('/api')).remaining).toBe('"api";r=1');
    await service.refund(decision);
    await service.refund(api, ['acme'], { cost: 1 });
    expect((await app.get('/api')).remaining).toBe('"api";r=2');
  });

  it('allows a refused customer again after clear', async () => {
    const { app, service } = await startApi(start);
    expect(await app.statuses(5, '/api')).toEqual([200, 200, 200, 429, 429]);
    await service.clear({ policy: 'api', limits: '3/day' }, 'acme');
    expect(await app.statuses(1, '/api')).toEqual([429]);
    await service.clear(api, 'acme');
    expect((await app.get('/api')).remaining).toBe('"api";r=2');
  });

  it('blocks and unblocks', async () => {
    const { app, service, clock } = await startApi(start);
    await service.block(api, 'acme', '2 hours');
    const refused = await app.get('/api');
    expect([refused.status, refused.fields['retry-after']]).toEqual([429, '7200']);
    await service.unblock(api, 'acme');
    expect(await app.statuses(1, '/api')).toEqual([200]);
    await service.block(api, 'acme');
    clock.advance(3_599_999);
    expect(await app.statuses(1, '/api')).toEqual([429]);
    clock.advance(1);
    expect(await app.statuses(1, '/api')).toEqual([200]);
  });

  it('is the same for every amount, since counts differ by period only', async () => {
    const { app, service } = await startApi(start);
    expect((await app.get('/api', as('big'))).remaining).toBe('"api";r=49');
    expect((await service.peek({ policy: 'api', limits: '10/hour' }, 'big')).remaining).toBe(9);
    expect((await service.peek({ policy: 'api', limits: '50/day' }, 'big')).remaining).toBe(50);
  });

  it.each([
    ['an item', parse('3/hour')],
    ['a list of items', parseMany('3/hour; 9/day')],
    ['a text of several', '3/hour; 9/day'],
  ])('accepts %s', async (_form, limits) => {
    const { app, service } = await startApi(start);
    await app.get('/api');
    const { limits: all } = await service.peek({ policy: 'api', limits }, 'acme');
    expect(all.map(({ remaining }) => remaining).slice(0, 1)).toEqual([2]);
    expect(all).toHaveLength(typeof limits === 'string' || Array.isArray(limits) ? 2 : 1);
  });

  it('is also resolved as a rule and as a limit of the module', async () => {
    const { app, service } = await startApi(start, {
      limits: [{ limits: () => '7/hour', name: 'module', key: customerOf }],
      rules: [{ id: 'ruled', path: '/**', limits: () => '8/hour', key: customerOf }],
    });
    await app.get('/fixed');
    expect((await service.peek({ policy: 'module', limits: '7/hour' }, 'acme')).remaining).toBe(6);
    expect((await service.peek({ policy: 'ruled', limits: '8/hour' }, 'acme')).remaining).toBe(7);
  });

  it('uses the limits of a plan first, like the guard', async () => {
    const plan = (context: ExecutionContext): string | undefined => headerOf(context, 'x-plan');
    const { app, service } = await startApi(start, { plan });
    const planned = { policy: 'planned', limits: '2/hour' };
    expect((await app.get('/planned')).remaining).toBe('"planned";r=1');
    expect((await app.get('/planned', { 'x-plan': 'pro' })).remaining).toBe('"planned";r=7');
    expect((await service.peek(planned, 'acme')).remaining).toBe(0);
    expect((await service.peek({ ...planned, plan: 'none' }, 'acme')).remaining).toBe(0);
    expect((await service.peek({ ...planned, plan: 'pro' }, 'acme')).remaining).toBe(7);
    expect((await service.peek({ policy: 'planned', plan: 'pro' }, 'acme')).remaining).toBe(7);
    expect(() => service.peek({ ...planned, plan: 'off' }, 'acme')).toThrow(
      new ConfigurationError('The policy "planned" has no limit for the plan "off": nothing is counted.'),
    );
  });

  it('throws with the fix if its limits are missing or do not fit', async () => {
    const { service } = await startApi(start);
    const missing = new ConfigurationError(
      'The policy "api" has a function that returns the limits of each request. By hand, give them beside its name: ' +
        "{ policy: 'api', limits: '10/minute' }.",
    );
    const reference = { policy: 'api' };
    expect(() => service.peek(reference, 'acme')).toThrow(missing);
    expect(() => service.getWindowStats(reference, 'acme')).toThrow(missing);
    expect(() => service.hit(reference, 'acme')).toThrow(missing);
    expect(() => service.consume(reference, 'acme')).toThrow(missing);
    expect(() => service.refund(reference, 'acme')).toThrow(missing);
    expect(() => service.clear(reference, 'acme')).toThrow(missing);
    expect(() => service.block(reference, 'acme')).toThrow(missing);
    expect(() => service.unblock(reference, 'acme')).toThrow(missing);
    await expect(service.waitFor(reference, ['acme'])).rejects.toThrow(missing);
    expect(() => service.peek({ policy: 'api', limits: '3/aeon' }, 'acme')).toThrow(RateLimitParseError);
    expect(() => service.peek({ policy: 'api', limits: 'unlimited' }, 'acme')).toThrow(
      new ConfigurationError('The limits given for the policy "api" are unlimited: nothing is counted.'),
    );
    expect(() => service.peek({ policy: 'fixed', limits: '3/hour' }, 'acme')).toThrow(
      new ConfigurationError(
        'The policy "fixed" has limits of its own. Leave out "limits": { policy: \'fixed\' }.',
      ),
    );
  });
});
