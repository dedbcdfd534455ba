import { expect, it } from '@jest/globals';
import { Controller, Get, Inject, Post, type ExecutionContext } from '@nestjs/common';
import {
  ConfigurationError,
  Decision,
  parse,
  parseMany,
  RateLimit,
  RateLimiterService,
  RateLimitInfo,
  RateLimitItemPerMinute,
  RateLimitParseError,
  type LimitInput,
} from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { describeOverHttp, limited, type StartHttpApp } from '../support/http-app.js';

const client = '127.0.0.1';

/** A value that only callers without types can pass. */
const untyped = (value: unknown): never => value as never;

const userOf = (context: ExecutionContext): string | undefined =>
  context.switchToHttp().getRequest<{ headers: Record<string, string | undefined> }>().headers['x-user'];

@Controller('login')
class LoginController {
  constructor(@Inject(RateLimiterService) private readonly limiter: RateLimiterService) {}

  @Post()
  @RateLimit('3/minute; 20/hour', { name: 'login' })
  login() {
    return '';
  }

  @Post('refunded')
  @RateLimit('3/minute', { name: 'failures' })
  async refunded(@RateLimitInfo() decision?: Decision) {
    if (decision !== undefined) {
      await this.limiter.refund(decision);
      await this.limiter.refund(decision);
    }
    return '';
  }
}

@Controller('tenants')
class TenantsController {
  @Get()
  @RateLimit('2/minute', { name: 'tenant', key: userOf })
  get() {
    return '';
  }
}

async function startService(
  start: StartHttpApp,
  options: Parameters<typeof limited>[1] = {},
): Promise<{ service: RateLimiterService; clock: ManualClock; app: Awaited<ReturnType<StartHttpApp>> }> {
  const clock = new ManualClock();
  const app = await start(limited([LoginController, TenantsController], options, clock));
  return { service: app.nest.get(RateLimiterService), clock, app };
}

describeOverHttp('The service, by limit', (start) => {
  it.each<[string, LimitInput]>([
    ['a text', '2/minute'],
    ['an item', parse('2/minute')],
    ['a new item', new RateLimitItemPerMinute(2)],
    ['a list of items', [parse('2/minute'), parse('5/hour')]],
    ['a text of several', '2/minute; 5/hour'],
  ])('supports all operations with %s, synchronously in memory', async (_form, limit) => {
    const { service, clock } = await startService(start);
    const end = clock.now() + 60_000;
    expect(service.getWindowStats(limit, 'mails', 'ann')).toEqual({ remaining: 2, resetTime: clock.now() });
    expect(service.test(limit, 'mails', 'ann')).toBe(true);
    expect(service.hit(limit, 'mails', 'ann')).toBe(true);
    expect(service.getWindowStats(limit, 'mails', 'ann')).toEqual({ remaining: 1, resetTime: end });
    expect(service.hit(limit, ['mails', 'ann'], { cost: 2 })).toBe(false);
    expect(service.test(limit, ['mails', 'ann'], { cost: 2 })).toBe(false);

    const decision = await service.consume(limit, 'mails', 'ann');
    expect(decision).toBeInstanceOf(Decision);
    expect([decision.allowed, decision.remaining, decision.resetTime]).toEqual([true, 0, end]);
    expect((await service.peek(limit, 'mails', 'ann')).retryAfter).toBe(60_000);
    expect(service.hit(limit, 'mails', 'ann')).toBe(false);
    expect(service.hit(limit, 'mails', 'bob')).toBe(true);

    await service.refund(decision);
    expect(service.getWindowStats(limit, 'mails', 'ann')).toEqual({ remaining: 1, resetTime: end });
    await service.refund(limit, 'mails', 'ann');
    expect((await service.getWindowStats(limit, 'mails', 'ann')).remaining).toBe(2);
    await service.refund(limit, 'mails', 'ann');
    expect((await service.getWindowStats(limit, 'mails', 'ann')).remaining).toBe(2);

    await service.hit(limit, 'mails', 'ann');
    await service.clear(limit, 'mails', 'ann');
    expect((await service.getWindowStats(limit, 'mails', 'ann')).remaining).toBe(2);
    expect((await service.getWindowStats(limit, 'mails', 'bob')).remaining).toBe(1);
  });

  it('counts by the strategy of the module', async () => {
    const { service, clock } = await startService(start, { strategy: 'token-bucket' });
    expect([1, 2, 3].map(() => service.hit('2/minute', 'ann'))).toEqual([true, true, false]);
    clock.advance(30_000);
    expect([1, 2].map(() => service.hit('2/minute', 'ann'))).toEqual([true, false]);
  });

  it('counts separately from every route, even from one with the same limit', async () => {
    const { service, app } = await startService(start, { limits: '2/minute' });
    expect([1, 2, 3].map(() => service.hit('2/minute', client))).toEqual([true, true, false]);
    expect(await app.statuses(1, '/tenants')).toEqual([200]);
  });

  it('throws for an invalid limit, identifier or cost', async () => {
    const { service } = await startService(start);
    expect(() => service.hit('2/aeon', 'ann')).toThrow(RateLimitParseError);
    expect(() => service.hit(untyped(null), 'ann')).toThrow(
      'A limit must be a text such as "10/minute", a RateLimitItem or a list of them; got null.',
    );
    expect(() => service.hit(untyped(undefined), 'ann')).toThrow(/A limit must be a text/);
    expect(() => service.hit(untyped({}), 'ann')).toThrow(
      /A limit must be a text .* got an object \(Object\)\./,
    );
    expect(() => service.hit('2/minute', untyped(7))).toThrow(
      new TypeError(
        'A rate limit identifier must be a string, got the number 7. Convert it yourself, for example with String(id).',
      ),
    );
    expect(() => service.hit('2/minute', ['ann'], { cost: -1 })).toThrow(RangeError);
    expect(() => service.hit(parseMany('2/minute; 2/minute'), 'ann')).toThrow(ConfigurationError);
  });
});

describeOverHttp('The service, by policy', (start) => {
  const login = { policy: 'login' };

  it('shares the counts of the guard', async () => {
    const { service, app } = await startService(start);
    await app.post('/login');
    const decision = await service.peek(login, client);
    expect(decision.limits.map(({ limit, remaining }) => [limit.name, remaining])).toEqual([
      ['login/minute', 2],
      ['login/hour', 19],
    ]);
    expect(service.hit(login, client)).toBe(true);
    expect((await app.post('/login')).remaining).toBe('"login/minute";r=0, "login/hour";r=17');
    expect(service.test(login, client)).toBe(false);
    expect(service.hit(login, client)).toBe(false);
    expect((await app.post('/login')).status).toBe(429);
    expect((await service.peek(login, client)).limits.map(({ remaining }) => remaining)).toEqual([0, 17]);
  });

  it('lifts a refusal by clearing the count', async () => {
    const { service, app } = await startService(start);
    for (let attempt = 0; attempt < 4; attempt++) await app.post('/login');
    expect((await app.post('/login')).status).toBe(429);
    await service.clear(login, '203.0.113.7');
    expect((await app.post('/login')).status).toBe(429);
    await service.clear(login, client);
    expect((await app.post('/login')).remaining).toBe('"login/minute";r=2, "login/hour";r=19');
  });

  it('refunds, with and without a cost', async () => {
    const { service, app } = await startService(start);
    for (let attempt = 0; attempt < 3; attempt++) await app.post('/login');
    await service.refund(login, client);
    expect(await service.getWindowStats(login, client)).toMatchObject({ remaining: 1 });
    await service.refund(login, [client], { cost: 2 });
    expect((await app.post('/login')).remaining).toBe('"login/minute";r=2, "login/hour";r=19');
  });

  it("refunds the guard's hit once, by the decision on the request", async () => {
    const { service, app } = await startService(start);
    for (let attempt = 0; attempt < 9; attempt++) {
      expect((await app.post('/login/refunded')).remaining).toBe('"failures";r=2');
    }
    expect((await service.peek({ policy: 'failures' }, client)).remaining).toBe(3);
  });

  it('takes the identity that the key of the policy returns', async () => {
    const { service, app } = await startService(start);
    expect(service.hit({ policy: 'tenant' }, ['ann'], { cost: 2 })).toBe(true);
    expect((await app.get('/tenants', { 'x-user': 'ann' })).status).toBe(429);
    expect((await app.get('/tenants', { 'x-user': 'bob' })).status).toBe(200);
    expect((await service.peek({ policy: 'tenant' }, 'bob')).remaining).toBe(1);
  });

  it('takes an address like the guard: by its network', async () => {
    const { service } = await startService(start);
    await service.hit(login, '2001:db8::1');
    expect((await service.peek(login, '2001:db8::2')).remaining).toBe(2);
    await service.hit(login, '::ffff:203.0.113.7');
    expect((await service.peek(login, '203.0.113.7')).remaining).toBe(2);
  });

  it('resolves the limits of the module by name', async () => {
    const { service, app } = await startService(start, { limits: [{ name: 'all', limits: '9/minute' }] });
    await app.post('/login');
    await app.get('/tenants');
    expect((await service.peek({ policy: 'all' }, client)).remaining).toBe(7);
    expect((await service.peek({ policy: 'all', route: 'GET /tenants' }, client)).remaining).toBe(7);
  });

  it('throws for an unknown policy, and lists the known ones', async () => {
    const { service } = await startService(start);
    const call = (): unknown => service.peek({ policy: 'logni' }, client);
    expect(call).toThrow(ConfigurationError);
    expect(call).toThrow(
      new ConfigurationError('There is no policy "logni". Known policies: login, failures, tenant.'),
    );
    expect(() => service.peek({ policy: 'constructor' }, client)).toThrow(
      /^There is no policy "constructor"\./,
    );
    expect(() => service.peek({ policy: 'login', route: 'GET /tenants' }, client)).toThrow(
      new ConfigurationError(
        'There is no policy "login" on the route "GET /tenants". Known policies: login, failures, tenant.',
      ),
    );
  });

  it('reports if there is no policy at all', async () => {
    const app = await start(limited([]));
    expect(() => app.nest.get(RateLimiterService).peek({ policy: 'default' }, client)).toThrow(
      new ConfigurationError('There is no policy "default". Known policies: none.'),
    );
  });

  it('throws for a plan without limits', async () => {
    @Controller('found')
    class FoundController {
      @Get('planned')
      @RateLimit({ free: '2/minute', internal: 'unlimited' }, { name: 'planned' })
      planned() {
        return '';
      }
    }
    const service = (await start(limited([FoundController]))).nest.get(RateLimiterService);
    expect(() => service.peek({ policy: 'planned', plan: 'internal' }, client)).toThrow(
      new ConfigurationError(
        'The policy "planned" has no limit for the plan "internal": nothing is counted.',
      ),
    );
    expect((await service.peek({ policy: 'planned', plan: 'free' }, client)).remaining).toBe(2);
  });

  it('requires one identity', async () => {
    const { service } = await startService(start);
    expect(() => service.peek(login)).toThrow(
      new TypeError('The policy is counted for one identity; got 0 identifiers.'),
    );
    expect(() => service.peek(login, 'ann', 'bob')).toThrow(
      new TypeError('The policy is counted for one identity; got 2 identifiers.'),
    );
    expect(() => service.peek(login, untyped(undefined))).toThrow(TypeError);
    expect(() => service.peek(login, untyped(7))).toThrow(TypeError);
    expect(() => service.peek({ policy: 'tenant' }, untyped(7))).toThrow(TypeError);
  });
});

describeOverHttp('A policy of several routes', (start) => {
  it('is resolved by its name if all declarations share a count', async () => {
    @Controller('shared')
    @RateLimit('9/minute', { name: 'class' })
    class SharedController {
      @Get('a')
      @RateLimit('9/minute', { name: 'mails', scope: 'mails' })
      a() {
        return '';
      }

      @Get('b')
      @RateLimit('9/minute', { name: 'mails', scope: 'mails' })
      b() {
        return '';
      }
    }
    const app = await start(limited([SharedController]));
    const service = app.nest.get(RateLimiterService);
    await app.get('/shared/a');
    await app.get('/shared/b');
    expect((await service.peek({ policy: 'mails' }, client)).remaining).toBe(7);
    expect((await service.peek({ policy: 'class' }, client)).remaining).toBe(7);
  });

  it('requires the route if they are counted separately', async () => {
    @Controller('apart')
    class ApartController {
      @Get(':id')
      @RateLimit('9/minute')
      get() {
        return '';
      }

      @Post()
      @RateLimit('9/minute')
      post() {
        return '';
      }
    }
    const app = await start(limited([ApartController]));
    const service = app.nest.get(RateLimiterService);
    await app.get('/apart/7');
    expect(() => service.peek({ policy: 'default' }, client)).toThrow(
      new ConfigurationError(
        `Several policies "default" count apart or differ. Name the route too, { policy: 'default', route }: one of "GET /apart/:id", "POST /apart"; ` +
          'or give the policies names or a scope of their own.',
      ),
    );
    expect((await service.peek({ policy: 'default', route: 'GET /apart/:id' }, client)).remaining).toBe(8);
    expect((await service.peek({ policy: 'default', route: 'POST /apart' }, client)).remaining).toBe(9);
  });

  it('requires the route if they share a count with different limits', async () => {
    @Controller('differing')
    class DifferingController {
      @Get('free')
      @RateLimit('5/minute', { scope: 'mails' })
      free() {
        return '';
      }

      @Get('paid')
      @RateLimit('50/minute', { scope: 'mails' })
      paid() {
        return '';
      }
    }
    const app = await start(limited([DifferingController]));
    const service = app.nest.get(RateLimiterService);
    await app.get('/differing/free');
    expect((await app.get('/differing/paid')).remaining).toBe('"default";r=48');
    expect(() => service.peek({ policy: 'default' }, client)).toThrow(ConfigurationError);
    expect((await service.peek({ policy: 'default', route: 'GET /differing/free' }, client)).remaining).toBe(
      3,
    );
    expect((await service.peek({ policy: 'default', route: 'GET /differing/paid' }, client)).remaining).toBe(
      48,
    );
  });

  it('requires the route if they count for different identities', async () => {
    @Controller('whom')
    class WhomController {
      @Get('address')
      @RateLimit('9/minute', { scope: 'whom' })
      address() {
        return '';
      }

      @Get('user')
      @RateLimit('9/minute', { scope: 'whom', key: userOf })
      user() {
        return '';
      }
    }
    const app = await start(limited([WhomController]));
    const service = app.nest.get(RateLimiterService);
    await app.get('/whom/user', { 'x-user': client });
    expect(() => service.peek({ policy: 'default' }, client)).toThrow(ConfigurationError);
    expect((await service.peek({ policy: 'default', route: 'GET /whom/address' }, client)).remaining).toBe(9);
    expect((await service.peek({ policy: 'default', route: 'GET /whom/user' }, client)).remaining).toBe(8);
  });

  it('requires a name if one route has several of it', async () => {
    @Controller('twice')
    class TwiceController {
      @Get()
      @RateLimit('9/minute')
      @RateLimit('90/hour', { key: userOf })
      get() {
        return '';
      }
    }
    const app = await start(limited([TwiceController]));
    const service = app.nest.get(RateLimiterService);
    expect(() => service.peek({ policy: 'default', route: 'GET /twice' }, client)).toThrow(
      new ConfigurationError(
        'The route "GET /twice" has several policies "default". Give each a name of its own: @RateLimit(limits, { name }).',
      ),
    );
  });
});
