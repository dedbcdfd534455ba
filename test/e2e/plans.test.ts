import { expect, it } from '@jest/globals';
import { Controller, Get, Inject, Injectable, Scope, type ExecutionContext } from '@nestjs/common';
import {
  MemoryStorage,
  RateLimit,
  RateLimiterService,
  type PlanFunction,
  type PlanResolver,
  type RateLimitModuleOptions,
} from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { describeOverHttp, limited } from '../support/http-app.js';

const planOf: PlanFunction = (context) =>
  context.switchToHttp().getRequest<{ headers: Record<string, string | undefined> }>().headers['x-plan'];

const plan = (name: string): Record<string, string> => ({ 'x-plan': name });

@Controller()
class ReportsController {
  @Get('reports')
  @RateLimit({ free: '2/minute', pro: '5/minute', day: '9/day', internal: 'unlimited' })
  reports() {
    return '';
  }

  @Get('mixed')
  @RateLimit('1/minute', { plans: { pro: '5/minute' } })
  @RateLimit('9/minute', { name: 'all' })
  mixed() {
    return '';
  }
}

describeOverHttp('Plans', (start) => {
  const open = (options: RateLimitModuleOptions = {}) =>
    start(limited([ReportsController], { plan: planOf, ...options }));

  it('have their own limits, and the unlimited plan has none', async () => {
    const app = await open();
    expect((await app.get('/reports', plan('free'))).headers.get('ratelimit-policy')).toBe(
      '"default";q=2;w=60',
    );
    expect((await app.get('/reports', plan('pro'))).headers.get('ratelimit-policy')).toBe(
      '"default";q=5;w=60',
    );
    expect((await app.get('/reports', plan('day'))).headers.get('ratelimit-policy')).toBe(
      '"default";q=9;w=86400',
    );
    expect((await app.get('/reports', plan('internal'))).fields).toEqual({});
  });

  it('can change: consumption in windows of the same length is kept', async () => {
    const app = await open();
    expect(await app.statuses(3, '/reports', plan('free'))).toEqual([200, 200, 429]);
    expect((await app.get('/reports', plan('pro'))).remaining).toBe('"default";r=2');
    expect((await app.get('/reports', plan('day'))).remaining).toBe('"default";r=8');
    expect(await app.statuses(2, '/reports', plan('pro'))).toEqual([200, 200]);
    expect((await app.get('/reports', plan('pro'))).status).toBe(429);
    expect((await app.get('/reports', plan('free'))).status).toBe(429);
  });

  it('can change between token buckets: consumption is kept', async () => {
    @Controller()
    class BucketController {
      @Get()
      @RateLimit({ free: '2/minute', pro: '5/minute' }, { strategy: 'token-bucket' })
      get() {
        return '';
      }
    }
    const app = await start(limited([BucketController], { plan: planOf }));
    expect(await app.statuses(3, '/', plan('free'))).toEqual([200, 200, 429]);
    expect((await app.get('/', plan('pro'))).remaining).toBe('"default";r=2');
  });

  it('that are absent use the strictest limits, or the default, without a warning', async () => {
    const app = await open();
    expect((await app.get('/reports')).headers.get('ratelimit-policy')).toBe('"default";q=9;w=86400');
    expect((await app.get('/mixed')).headers.get('ratelimit-policy')).toBe(
      '"default";q=1;w=60, "all";q=9;w=60',
    );
    expect((await app.get('/mixed', plan('pro'))).headers.get('ratelimit-policy')).toBe(
      '"default";q=5;w=60, "all";q=9;w=60',
    );
    expect(app.log.warnings).toEqual([]);
  });

  it('that are unknown use the default, with one warning', async () => {
    const app = await open();
    for (const name of ['gold', 'gold', '__proto__', 'Pro']) {
      expect((await app.get('/reports', plan(name))).headers.get('ratelimit-policy')).toBe(
        '"default";q=9;w=86400',
      );
    }
    expect(app.log.warnings).toEqual([
      '@RateLimit on ReportsController.reports: there are no limits for the plan "gold", so the default ones hold. ' +
        'Plans: free, pro, day, internal.',
    ]);
  });

  it('are resolved once per request, for any number of limits, and only if a limit uses plans', async () => {
    let calls = 0;
    @Controller()
    class ManyController {
      @Get('many')
      @RateLimit({ free: '2/minute' })
      @RateLimit({ free: '2/minute' }, { name: 'other' })
      many() {
        return '';
      }

      @Get('none')
      @RateLimit('9/minute')
      none() {
        return '';
      }
    }
    for (const found of ['free', undefined, null, '']) {
      calls = 0;
      const app = await start(
        limited([ManyController], {
          plan: () => {
            calls++;
            return found;
          },
        }),
      );
      await app.get('/many');
      expect(calls).toBe(1);
      await app.get('/none');
      expect(calls).toBe(1);
    }
  });

  it('also work in rules', async () => {
    const app = await start(
      limited([ReportsController], {
        plan: planOf,
        rules: [{ id: 'api', path: '/**', plans: { free: '3/minute', pro: '30/minute' } }],
      }),
    );
    expect((await app.get('/mixed', plan('pro'))).remaining).toBe('"default";r=4, "all";r=8, "api";r=29');
    expect((await app.get('/reports')).remaining).toBe('"default";r=8, "api";r=1');
  });

  it('also work in the module, for every route', async () => {
    const app = await start(
      limited([ReportsController], {
        plan: planOf,
        limits: [{ name: 'every', plans: { free: '3/minute', pro: '30/minute' } }],
      }),
    );
    expect((await app.get('/reports', plan('free'))).remaining).toBe('"every";r=2, "default";r=1');
    expect((await app.get('/reports', plan('internal'))).remaining).toBe('"every";r=1');
  });

  it('are given to the service by name', async () => {
    const app = await open();
    await app.get('/reports', plan('pro'));
    const service = app.nest.get(RateLimiterService);
    const policy = { policy: 'default', route: 'GET /reports' };
    expect((await service.peek({ ...policy, plan: 'pro' }, '127.0.0.1')).remaining).toBe(4);
    expect((await service.peek({ ...policy, plan: 'free' }, '127.0.0.1')).remaining).toBe(1);
    const other = { policy: 'all', plan: 'pro' };
    expect((await service.peek(other, '127.0.0.1')).remaining).toBe(9);
    expect(app.log.warnings).toEqual([]);
  });

  it('cause 500 if their function fails, and a log line', async () => {
    const app = await open({
      plan: () => {
        throw new Error('no database');
      },
    });
    expect((await app.get('/reports')).status).toBe(500);
    expect(app.log.errors.map((error) => (error as Error).message)).toEqual([
      'RateLimitModule: the function "plan" failed: no database',
    ]);
  });

  it('cause 500 if their function does not return a name, and a log line', async () => {
    const app = await open({ plan: () => 1 as never });
    expect(await app.statuses(2, '/reports')).toEqual([500, 500]);
    expect(app.log.errors.map((error) => (error as Error).message)).toEqual(
      Array(2).fill('RateLimitModule: the function "plan" must return a string; got the number 1.'),
    );
  });
});

@Injectable()
class Customers {
  readonly plans = new Map([['ann', 'pro']]);
}

@Injectable()
class CustomerPlan implements PlanResolver {
  constructor(@Inject(Customers) private readonly customers: Customers) {}

  async resolve(context: ExecutionContext): Promise<string | undefined> {
    return Promise.resolve(this.customers.plans.get((await planOf(context)) ?? ''));
  }
}

describeOverHttp('Plans from an injectable class', (start) => {
  it('can be resolved by a provider with dependencies, asynchronously', async () => {
    const clock = new ManualClock();
    const module = limited([ReportsController], {
      plan: CustomerPlan,
      storage: new MemoryStorage({ clock }),
    });
    const app = await start({ ...module, providers: [CustomerPlan, Customers] });
    expect((await app.get('/mixed', plan('bob'))).remaining).toBe('"default";r=0, "all";r=8');
    app.nest.get(Customers).plans.set('bob', 'pro');
    expect((await app.get('/mixed', plan('bob'))).remaining).toBe('"default";r=3, "all";r=7');
    expect((await app.get('/mixed', plan('ann'))).remaining).toBe('"default";r=2, "all";r=6');
  });

  it('that are not a provider, or are request-scoped, stop the start', async () => {
    await expect(start(limited([ReportsController], { plan: CustomerPlan }))).rejects.toThrow(
      'RateLimitModule: the plan CustomerPlan is not a provider. Add it to the providers of a module.',
    );
    @Injectable({ scope: Scope.REQUEST })
    class ScopedPlan implements PlanResolver {
      resolve(): string {
        return 'free';
      }
    }
    await expect(
      start({ ...limited([ReportsController], { plan: ScopedPlan }), providers: [ScopedPlan] }),
    ).rejects.toThrow('RateLimitModule: the plan ScopedPlan is request-scoped or transient.');
  });
});
