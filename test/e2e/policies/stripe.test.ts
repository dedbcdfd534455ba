import { afterEach, expect, it } from '@jest/globals';
import { Controller, Get, HttpCode, Post, UseGuards, type ExecutionContext } from '@nestjs/common';
import { RateLimit, RateLimitGuard, RateLimiterService, type RateLimitModuleOptions } from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { Gate } from '../../support/gate.js';
import { authenticatedRequest, HeaderUserGuard } from '../../support/header-user.js';
import { describeOverHttp, limited, type HttpApp, type StartHttpApp } from '../../support/http-app.js';
import { until } from '../../support/http-exchange.js';

/**
 * Stripe's API: per second 100 requests in live mode and 25 in test mode by account, 25 for each endpoint, 20 reads and 20 writes of
 * files; beside these rates, a limit of the requests that an account has in flight, here 30. When the fleet is busy, critical requests
 * keep a fifth of it.
 */

const gate = new Gate();
afterEach(() => gate.open());

const isCritical = (context: ExecutionContext): boolean => authenticatedRequest(context).method === 'POST';
const everybody = (): string => 'fleet';
const common = { strategy: 'token-bucket', phase: 'afterAuth' } as const;

const options: RateLimitModuleOptions = {
  key: 'user',
  plan: (context) => authenticatedRequest(context).user?.plan,
  limits: [
    { name: 'account', plans: { live: '100/second', test: '25/second' }, ...common },
    { name: 'endpoint', limits: '25/second', scope: 'route', ...common },
    { name: 'concurrent', limits: '30 concurrent', phase: 'afterAuth' },
    { name: 'bulk', limits: '80/second', scope: 'bulk', key: everybody, skip: isCritical, ...common },
    {
      name: 'critical',
      limits: '20/second',
      scope: 'critical',
      key: everybody,
      skip: (context) => !isCritical(context),
      ...common,
    },
  ],
};

@Controller()
@UseGuards(HeaderUserGuard, RateLimitGuard)
class StripeController {
  @Get(['customers', 'invoices', 'balance', 'events', 'payouts'])
  read() {
    return '';
  }

  @Get('reports')
  async report() {
    await gate.pass();
    return '';
  }

  @Get('exports')
  async export() {
    await gate.pass();
    return '';
  }

  @Post('charges')
  @HttpCode(200)
  charge() {
    return '';
  }

  @Get('files')
  @RateLimit('20/second', { name: 'endpoint', scope: 'route', ...common })
  readFile() {
    return '';
  }

  @Post('files')
  @HttpCode(200)
  @RateLimit('20/second', { name: 'endpoint', scope: 'route', ...common })
  writeFile() {
    return '';
  }
}

/** The same, but each endpoint and each account may use the whole fleet. */
const busy: RateLimitModuleOptions = {
  ...options,
  limits: [...(options.limits as []).slice(3)],
};

async function open(start: StartHttpApp, given = options): Promise<{ app: HttpApp; clock: ManualClock }> {
  const clock = new ManualClock();
  return { app: await start(limited([StripeController], given, clock)), clock };
}

const account = (id: string, plan = 'live'): Record<string, string> => ({ 'x-user': id, 'x-plan': plan });

async function admitted(requests: Promise<{ status: number }>[]): Promise<number> {
  return (await Promise.all(requests)).filter(({ status }) => status === 200).length;
}

function times<T>(count: number, call: () => T): T[] {
  return Array.from({ length: count }, call);
}

describeOverHttp('The limits of Stripe', (start) => {
  it('admit 25 requests a second for each endpoint by account', async () => {
    const { app, clock } = await open(start);
    expect(await admitted(times(30, () => app.get('/customers', account('ann'))))).toBe(25);
    expect(await admitted(times(3, () => app.get('/customers', account('bob'))))).toBe(3);
    expect(await admitted(times(3, () => app.post('/charges', account('ann'))))).toBe(3);
    clock.advance(40);
    expect(await admitted(times(3, () => app.get('/customers', account('ann'))))).toBe(1);
  });

  it('admit 100 requests a second by account in live mode, and 25 in test mode', async () => {
    const { app } = await open(start);
    const service = app.nest.get(RateLimiterService);
    const remaining = async (plan: string): Promise<number> =>
      (await service.peek({ policy: 'account', plan, route: 'POST /charges' }, 'ann')).remaining;
    expect([await remaining('live'), await remaining('test')]).toEqual([100, 25]);
    await app.post('/charges', account('ann'));
    expect([await remaining('live'), await remaining('test')]).toEqual([99, 24]);
    await service.hit({ policy: 'account', plan: 'live', route: 'POST /charges' }, ['ann'], { cost: 24 });
    expect((await app.post('/charges', account('ann', 'test'))).status).toBe(429);
    expect((await app.post('/charges', account('ann'))).status).toBe(200);
  });

  it('admit 20 reads and 20 writes of files a second', async () => {
    const { app } = await open(start);
    expect(await admitted(times(25, () => app.get('/files', account('ann'))))).toBe(20);
    expect(await admitted(times(20, () => app.post('/files', account('ann'))))).toBe(20);
  });

  it('keep a fifth of the fleet for critical requests', async () => {
    const { app, clock } = await open(start, busy);
    const reads = times(120, () => app.get('/customers', account(`account ${Math.random()}`)));
    expect(await admitted(reads)).toBe(80);
    expect(await admitted(times(25, () => app.post('/charges', account('ann'))))).toBe(20);
    const refused = await app.get('/customers', account('bob'));
    expect(refused.body).toMatchObject({ limit: { name: 'bulk', amount: 80, period: 1 } });
    clock.advance(100);
    expect(await admitted(times(10, () => app.get('/customers', account('bob'))))).toBe(8);
    expect(await admitted(times(3, () => app.post('/charges', account('ann'))))).toBe(2);
  });

  it('admit 30 requests of an account at the same time, and tell no time to one more', async () => {
    const { app, clock } = await open(start);
    const running = ['/reports', '/exports'].flatMap((path) =>
      times(15, () => app.get(path, account('ann'))),
    );
    await until(() => gate.waiting === 30);
    clock.advance(1000); // no rate refuses
    const refused = await app.post('/charges', account('ann'));
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, null]);
    expect(refused.body).toMatchObject({ limit: { name: 'concurrent', amount: 30, period: null } });
    expect((await app.post('/charges', account('bob'))).status).toBe(200);
    gate.open();
    expect(await admitted(running)).toBe(30);
    expect((await app.post('/charges', account('ann'))).status).toBe(200);
  });
});
