import { expect, it } from '@jest/globals';
import { Controller, Get, UseGuards, type INestApplication } from '@nestjs/common';
import {
  applyRateLimits,
  ConfigurationError,
  MemoryStorage,
  RateLimit,
  RateLimiterService,
  RateLimitGuard,
  SkipRateLimit,
  type RateLimitModuleOptions,
  type RateLimitRule,
} from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { describeOverHttp, limited, type HttpApp, type StartHttpApp } from '../support/http-app.js';

const MINUTE = 60_000;
const CLIENT = '127.0.0.1';

@Controller()
class ShopController {
  @Get('login')
  @RateLimit('2/minute', { name: 'login', block: ['15 minutes', '1 hour'] })
  login() {
    return '';
  }

  @Get('catalogue')
  catalogue() {
    return '';
  }

  @Get('health')
  @SkipRateLimit()
  health() {
    return '';
  }
}

interface Shop {
  readonly app: HttpApp;
  readonly clock: ManualClock;
  readonly service: RateLimiterService;
}

async function open(
  start: StartHttpApp,
  options: RateLimitModuleOptions = {},
  configure: (nest: INestApplication) => void = () => undefined,
): Promise<Shop> {
  const clock = new ManualClock();
  const app = await start(
    limited([ShopController], { storage: new MemoryStorage({ clock }), ...options }, clock),
    { configure },
  );
  return { app, clock, service: app.nest.get(RateLimiterService) };
}

describeOverHttp('A block', (start) => {
  it('by hand refuses the routes of the policy until it ends', async () => {
    const { app, clock, service } = await open(start);
    await service.block({ policy: 'login' }, CLIENT);
    const refused = await app.get('/login');
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '900']);
    expect((await app.get('/catalogue')).status).toBe(200);
    clock.advance(15 * MINUTE);
    expect(await app.statuses(2, '/login')).toEqual([200, 200]);
  });

  it('by hand lasts for the given time, up to the longest block of the policy', async () => {
    const { app, service } = await open(start);
    await service.block({ policy: 'login' }, CLIENT, '40 minutes');
    expect((await app.get('/login')).headers.get('retry-after')).toBe('2400');
    expect(() => service.block({ policy: 'login' }, CLIENT, '2 hours')).toThrow(
      new RangeError('The policy "login" blocks for 1 hour at most; got the string "2 hours".'),
    );
    expect(() => service.block({ policy: 'login' }, CLIENT, 'soon')).toThrow(
      /^A length of time is written as "15 minutes" or "1 hour"; got the string "soon"\.$/,
    );
  });

  it('is lifted by hand, whatever set it, and the counts are kept', async () => {
    const { app, service } = await open(start);
    expect(await app.statuses(3, '/login')).toEqual([200, 200, 429]);
    await service.unblock({ policy: 'login' }, CLIENT);
    const refused = await app.get('/login');
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '900']);
    await service.clear({ policy: 'login' }, CLIENT);
    expect((await app.get('/login')).status).toBe(200);
  });

  it('throws for a policy without blocks, and the message has the fix', async () => {
    const { service } = await open(start, { limits: [{ name: 'all', limits: '9/minute' }] });
    expect(() => service.block({ policy: 'all' }, CLIENT)).toThrow(
      new ConfigurationError(
        'The policy "all" blocks nobody. Give it the option block, such as \'15 minutes\'.',
      ),
    );
    await service.unblock({ policy: 'all' }, CLIENT);
  });
});

describeOverHttp('Rules that change while the application runs', (start) => {
  const rule = { id: 'shop', path: '/**', limits: '3/minute' };

  it('apply from the next request on, and keep the counts', async () => {
    const { app, service } = await open(start, { rules: [rule] });
    expect((await app.get('/catalogue')).remaining).toBe('"shop";r=2');
    await service.setRules([{ ...rule, limits: '10/minute' }]);
    expect((await app.get('/catalogue')).remaining).toBe('"shop";r=8');
    expect(service.rules()).toEqual([{ ...rule, limits: '10/minute' }]);
    await service.setRules([]);
    expect((await app.get('/catalogue')).remaining).toBeNull();
  });

  it('are known to the service by name, like policies', async () => {
    const { app, service } = await open(start, { rules: [rule] });
    await app.get('/catalogue');
    expect((await service.peek({ policy: 'shop' }, CLIENT)).remaining).toBe(2);
    await service.clear({ policy: 'shop' }, CLIENT);
    expect((await app.get('/catalogue')).remaining).toBe('"shop";r=2');
  });

  it('stay as they are when the new ones are invalid', async () => {
    const { app, service } = await open(start, { rules: [rule] });
    const wrong = [rule, { id: 'broken', path: '/a', limits: '3/minuet' }];
    expect(() => service.setRules(wrong)).toThrow(
      /^The rule "broken": Cannot read the rate limit "3\/minuet"/,
    );
    expect(service.rules()).toEqual([rule]);
    expect((await app.get('/catalogue')).remaining).toBe('"shop";r=2');
  });

  it('do not change with the given list afterwards', async () => {
    const rules = [rule];
    const { app, service } = await open(start, { rules });
    rules.pop();
    expect(service.rules()).toEqual([rule]);
    expect((await app.get('/catalogue')).remaining).toBe('"shop";r=2');
  });

  it.each<[string, Partial<RateLimitRule>, Partial<RateLimitRule>]>([
    ['are the same', {}, {}],
    ['have another amount', {}, { limits: '9/minute' }],
    ['have another window and name', {}, { id: 'other', limits: '9/hour' }],
    ['have a function made for each', { key: () => 'all' }, { key: () => 'all' }],
  ])('count a request in flight once if the new ones %s', async (_change, before, after) => {
    const { app, service } = await open(start, { rules: [{ ...rule, ...before }] }, (nest) => {
      applyRateLimits(nest);
      nest.use((_request: unknown, _response: unknown, next: () => void) => {
        void nest.get(RateLimiterService).setRules([{ ...rule, ...after }]);
        next();
      });
    });
    expect((await app.get('/catalogue')).remaining).toBe('"shop";r=2');
    await service.setRules([{ ...rule, ...before }]);
    expect((await app.get('/catalogue')).remaining).toBe('"shop";r=1');
  });

  it('count a request in flight once in both phases', async () => {
    const late = { id: 'late', path: '/**', limits: '5/minute', phase: 'afterAuth' as const };
    let swap = (): void => undefined;
    @Controller()
    @UseGuards({
      canActivate: () => {
        swap();
        return true;
      },
    })
    class LateController {
      @Get('late')
      @UseGuards(RateLimitGuard)
      late() {
        return '';
      }
    }
    const app = await start(limited([LateController], { rules: [{ ...rule, continue: true }, late] }));
    const service = app.nest.get(RateLimiterService);
    swap = () => void service.setRules([{ ...rule, limits: '9/minute' }]);
    expect((await app.get('/late')).remaining).toBe('"shop";r=2, "late";r=4');
    expect((await app.get('/late')).remaining).toBe('"shop";r=7');
  });

  it('apply with their own blocks: a raised amount ends the block of the lower one', async () => {
    const blocking = { ...rule, limits: '2/minute', block: '1 hour' };
    const { app, service } = await open(start, { rules: [blocking] });
    expect(await app.statuses(3, '/catalogue')).toEqual([200, 200, 429]);
    await service.setRules([{ ...blocking, limits: '4/minute', block: '10 minutes' }]);
    expect(await app.statuses(3, '/catalogue')).toEqual([200, 200, 429]);
    expect((await app.get('/catalogue')).headers.get('retry-after')).toBe('600');
    await service.setRules([blocking]);
    expect((await app.get('/catalogue')).headers.get('retry-after')).toBe('600');
  });

  it('repeat no warning, however often they are set', async () => {
    const asserted = { ...rule, key: 'api-key' as const };
    const { app, service } = await open(start, { rules: [asserted] });
    for (let swap = 0; swap < 1000; swap++)
      await service.setRules([{ ...asserted, limits: `${swap}/minute` }]);
    expect((await app.get('/catalogue')).remaining).toBe('"shop";r=998');
    expect(app.log.warnings).toEqual([
      'The rule "shop": the key "api-key" is not verified, and before authentication each new value has a fresh count. ' +
        "Also add a limit by 'ip', or count it after authentication: phase: 'afterAuth'.",
    ]);
  });

  it('do not apply to skipped routes', async () => {
    const { app, service } = await open(start);
    await service.setRules([rule]);
    expect((await app.get('/health')).remaining).toBeNull();
  });
});
