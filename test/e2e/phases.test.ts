import { expect, it } from '@jest/globals';
import {
  Controller,
  Get,
  Injectable,
  Module,
  Scope,
  UnauthorizedException,
  UseGuards,
  type CanActivate,
  type ExecutionContext,
  type MiddlewareConsumer,
  type ModuleMetadata,
} from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import {
  applyRateLimits,
  firstOf,
  MemoryStorage,
  RateLimit,
  RateLimitGuard,
  RateLimitInfo,
  RateLimitMiddleware,
  RateLimitModule,
  type Decision,
  type RateLimitModuleOptions,
  type RateLimitRule,
} from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { describeOverHttp, limited } from '../support/http-app.js';

interface Request {
  readonly headers: Record<string, string | undefined>;
  user?: { id: string };
}

/** Uses the token as the name of the user. */
class AuthGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<Request>();
    const token = request.headers['authorization'];
    if (token === undefined) throw new UnauthorizedException();
    request.user = { id: token };
    return true;
  }
}

const as = (name: string): Record<string, string> => ({ authorization: name });

@Controller()
@UseGuards(AuthGuard, RateLimitGuard)
class AccountController {
  @Get('account')
  @RateLimit('4/minute', { name: 'address' })
  @RateLimit('2/minute', { name: 'user', key: 'user', phase: 'afterAuth' })
  account(@RateLimitInfo() decision?: Decision) {
    return { limits: decision?.limits.map(({ limit }) => limit.name) };
  }

  @Get('late')
  @RateLimit('2/minute', { name: 'late', key: 'user', phase: 'afterAuth' })
  late() {
    return '';
  }
}

describeOverHttp('Two phases', (start) => {
  it('count addresses before authentication and users after it, each once', async () => {
    const app = await start(limited([AccountController]));
    const first = await app.get('/account', as('ann'));
    expect(first.remaining).toBe('"address";r=3, "user";r=1');
    expect(first.headers.get('ratelimit-policy')).toBe('"address";q=4;w=60, "user";q=2;w=60');
    expect(first.body).toEqual({ limits: ['address', 'user'] });
    expect((await app.get('/account', as('bob'))).remaining).toBe('"address";r=2, "user";r=1');
    expect((await app.get('/account', as('ann'))).remaining).toBe('"address";r=1, "user";r=0');
    const refused = await app.get('/account', as('ann'));
    expect(refused.status).toBe(429);
    expect(refused.remaining).toBe('"address";r=0, "user";r=0');
    expect(refused.body).toMatchObject({ limit: { name: 'user' } });
    expect((await app.get('/account', as('cid'))).body).toMatchObject({ limit: { name: 'address' } });
    expect(app.log.warnings).toEqual([]);
  });

  it('limit failed logins by address', async () => {
    const app = await start(limited([AccountController]));
    expect(await app.statuses(5, '/account')).toEqual([401, 401, 401, 401, 429]);
    expect((await app.get('/account')).remaining).toBe('"address";r=0');
  });

  it('can each be set by a rule', async () => {
    const rules: RateLimitModuleOptions['rules'] = [
      { id: 'address', path: '/**', limits: '9/minute', priority: 1, continue: true },
      { id: 'user', path: '/late', limits: '5/minute', key: 'user', phase: 'afterAuth' },
    ];
    const app = await start(limited([AccountController], { rules }));
    expect((await app.get('/late', as('ann'))).remaining).toBe('"address";r=8, "late";r=1, "user";r=4');
    expect((await app.get('/late', as('bob'))).remaining).toBe('"address";r=7, "late";r=1, "user";r=4');
    expect(app.log.warnings).toEqual([]);
  });

  it('can use a plan that is known after authentication', async () => {
    @Controller()
    @UseGuards(AuthGuard, RateLimitGuard)
    class PlanController {
      @Get()
      @RateLimit({ free: '1/minute', pro: '9/minute' }, { key: 'user', phase: 'afterAuth' })
      get() {
        return '';
      }
    }
    const plan = (context: ExecutionContext): string =>
      context.switchToHttp().getRequest<Request>().user?.id === 'ann' ? 'pro' : 'free';
    const app = await start(limited([PlanController], { plan }));
    expect((await app.get('/', as('ann'))).remaining).toBe('"default";r=8');
    expect((await app.get('/', as('bob'))).remaining).toBe('"default";r=0');
  });
});

describeOverHttp('Policies of one name, scope and amount', (start) => {
  const shared = { path: '/late', name: 'both', scope: 'both', continue: true };
  const byAddress = (context: ExecutionContext): string =>
    context.switchToHttp().getRequest<{ ip: string }>().ip;
  const byUser = (context: ExecutionContext): string | undefined =>
    context.switchToHttp().getRequest<Request>().user?.id;
  const everybody = (): string => 'everybody';
  const others = (): string => 'everybody';
  const twice = (): string => '4/minute';
  const again = (): string => '4/minute';
  const rulesOf = (
    ...policies: Pick<RateLimitRule, 'limits' | 'key' | 'phase' | 'cost' | 'count' | 'plans'>[]
  ): RateLimitModuleOptions => ({
    rules: policies.map((policy, index) => ({ id: `rule${index}`, ...shared, ...policy })),
  });

  @Controller()
  @UseGuards(AuthGuard, RateLimitGuard)
  class OpenController {
    @Get('late')
    late() {
      return '';
    }
  }

  it('limit by address before authentication and by a function of the user after it', async () => {
    const options = rulesOf(
      { limits: '2/minute', key: byAddress },
      { limits: '2/minute', key: byUser, phase: 'afterAuth' },
    );
    const app = await start(limited([OpenController], options));
    expect(await app.statuses(8, '/late', as('ann'))).toEqual([200, 200, ...Array<number>(6).fill(429)]);
  });

  it.each<[string, RateLimitModuleOptions]>([
    [
      'phase',
      rulesOf(
        { limits: '4/minute', key: everybody },
        { limits: '4/minute', key: everybody, phase: 'afterAuth' },
      ),
    ],
    [
      'key',
      rulesOf(
        { limits: '4/minute', key: everybody },
        { limits: '4/minute', key: others, phase: 'afterAuth' },
      ),
    ],
    [
      'function of limits',
      rulesOf({ limits: twice, key: everybody }, { limits: again, key: everybody, phase: 'afterAuth' }),
    ],
  ])('that differ in their %s each take units of their count', async (_what, options) => {
    const app = await start(limited([OpenController], options));
    expect(await app.statuses(3, '/late', as('ann'))).toEqual([200, 200, 429]);
  });

  it.each<[string, Pick<RateLimitRule, 'cost' | 'count' | 'plans' | 'skip'>]>([
    ['cost', { cost: () => 1 }],
    ['count', { count: () => true }],
    ['plans', { plans: { pro: '9/minute' } }],
    ['skip', { skip: () => false }],
  ])(
    'of middleware and route that differ in their %s each take units of their count',
    async (_what, option) => {
      @Controller()
      class RouteController {
        @Get('late')
        @RateLimit('4/minute', { name: 'both', scope: 'both', ...option })
        late() {
          return '';
        }
      }
      const app = await start(limited([RouteController], rulesOf({ limits: '4/minute' })), {
        configure: applyRateLimits,
      });
      expect(await app.statuses(3, '/late')).toEqual([200, 200, 429]);
    },
  );

  it('that do not differ in what they count count a request once', async () => {
    @Controller()
    class RouteController {
      @Get('late')
      @RateLimit('4/minute', { name: 'both', scope: 'both', key: everybody, errorMessage: 'Too many.' })
      late() {
        return '';
      }
    }
    const app = await start(limited([RouteController], rulesOf({ limits: '4/minute', key: everybody })), {
      configure: applyRateLimits,
    });
    expect(await app.statuses(5, '/late')).toEqual([200, 200, 200, 200, 429]);
  });
});

describeOverHttp('Without the global guard', (start) => {
  const module = (options: RateLimitModuleOptions = {}) => ({
    imports: [
      RateLimitModule.forRoot({
        guard: false,
        storage: new MemoryStorage({ clock: new ManualClock() }),
        ...options,
      }),
    ],
  });

  it('apply both only to routes with the guard', async () => {
    @Controller()
    class OpenController {
      @Get('open')
      @RateLimit('1/minute')
      open() {
        return '';
      }
    }
    const app = await start({ ...module(), controllers: [AccountController, OpenController] });
    expect(await app.statuses(3, '/open')).toEqual([200, 200, 200]);
    expect((await app.get('/account', as('ann'))).remaining).toBe('"address";r=3, "user";r=1');
    expect(await app.statuses(9, '/account')).toEqual(Array(9).fill(401));
    expect((await app.get('/account', as('ann'))).remaining).toBe('"address";r=2, "user";r=0');
    expect(app.log.warnings).toEqual([]);
  });

  it("can have the guard for the whole application, after the application's own guard", async () => {
    const app = await start({
      ...module({ key: 'user' }),
      controllers: [AccountController],
      providers: [
        { provide: APP_GUARD, useClass: AuthGuard },
        { provide: APP_GUARD, useExisting: RateLimitGuard },
      ],
    });
    expect((await app.get('/account', as('ann'))).remaining).toBe('"address";r=3, "user";r=1');
    expect((await app.get('/account', as('bob'))).remaining).toBe('"address";r=3, "user";r=1');
    expect(app.log.warnings).toEqual([]);
  });

  it('count a request once in the middleware and a bound guard', async () => {
    @Module({
      ...module({ rules: [{ id: 'all', path: '/**', limits: '9/minute' }] }),
      controllers: [AccountController],
    })
    class MiddlewareModule {
      configure(consumer: MiddlewareConsumer): void {
        consumer.apply(RateLimitMiddleware).forRoutes('*path');
      }
    }
    const app = await start({ imports: [MiddlewareModule] });
    expect((await app.get('/account', as('ann'))).remaining).toBe('"all";r=8, "address";r=3, "user";r=1');
    expect((await app.get('/account')).status).toBe(401);
    expect((await app.get('/nothing')).remaining).toBe('"all";r=6');
  });
});

describeOverHttp('The global guard', (start) => {
  @Controller()
  class HelloController {
    @Get('hello')
    hello() {
      return '';
    }
  }
  const authentication = { provide: APP_GUARD, useClass: AuthGuard };
  @Module({ providers: [authentication] })
  class AuthModule {}
  const limits = '2/minute';

  it.each<[string, ModuleMetadata]>([
    ['the root module', { imports: [RateLimitModule.forRoot({ limits })], providers: [authentication] }],
    ['a module before it', { imports: [AuthModule, RateLimitModule.forRoot({ limits })] }],
    ['a module after it', { imports: [RateLimitModule.forRoot({ limits }), AuthModule] }],
    [
      'a module before one with a factory',
      {
        imports: [
          AuthModule,
          RateLimitModule.forRootAsync({ useFactory: () => Promise.resolve({ limits }) }),
        ],
      },
    ],
  ])('runs before %s, so that guesses are limited', async (_module, metadata) => {
    const app = await start({ ...metadata, controllers: [HelloController] });
    expect(await app.statuses(4, '/hello')).toEqual([401, 401, 429, 429]);
  });

  it('leaves limits by user to a guard that is bound after authentication', async () => {
    @Controller()
    class UsersController {
      @Get('mine')
      @RateLimit('1/minute', { key: 'user', phase: 'afterAuth' })
      mine() {
        return '';
      }
    }
    const app = await start({
      imports: [RateLimitModule.forRoot({ limits: [{ name: 'address', limits: '9/minute' }] })],
      controllers: [UsersController],
      providers: [authentication, { provide: APP_GUARD, useExisting: RateLimitGuard }],
    });
    expect((await app.get('/mine', as('ann'))).remaining).toBe('"address";r=8, "default";r=0');
    expect((await app.get('/mine', as('bob'))).remaining).toBe('"address";r=7, "default";r=0');
    expect((await app.get('/mine', as('ann'))).status).toBe(429);
    expect(app.log.warnings).toEqual([]);
  });
});

describeOverHttp('A global guard that is request-scoped', (start) => {
  @Injectable({ scope: Scope.REQUEST })
  class ScopedGuard extends AuthGuard {}
  const authentication = { provide: APP_GUARD, scope: Scope.REQUEST, useClass: ScopedGuard };

  @Controller()
  class UsersController {
    @Get('mine')
    @RateLimit('1/minute', { name: 'user', key: 'user', phase: 'afterAuth' })
    mine() {
      return '';
    }
  }

  it('runs after a global RateLimitGuard, so that a warning is logged', async () => {
    const app = await start({
      ...limited([UsersController]),
      providers: [authentication, { provide: APP_GUARD, useExisting: RateLimitGuard }],
    });
    expect((await app.get('/mine', as('ann'))).status).toBe(200);
    expect((await app.get('/mine', as('bob'))).status).toBe(429);
    expect(app.log.warnings).toEqual([
      `@RateLimit on UsersController.mine: the limit "user" of the phase 'afterAuth' is counted before a global guard that is ` +
        'request-scoped, since Nest calls such guards last. If that guard sets the user, bind RateLimitGuard request-scoped too, after it: ' +
        '{ provide: APP_GUARD, scope: Scope.REQUEST, useFactory: (guard) => guard, inject: [RateLimitGuard] }.',
    ]);
  });

  it('causes no warning if no limit is for after authentication', async () => {
    @Controller()
    class EarlyController {
      @Get('early')
      @RateLimit('1/minute', { name: 'address' })
      early() {
        return '';
      }
    }
    const app = await start({
      ...limited([EarlyController]),
      providers: [authentication, { provide: APP_GUARD, useExisting: RateLimitGuard }],
    });
    expect((await app.get('/early', as('ann'))).remaining).toBe('"address";r=0');
    expect(app.log.warnings).toEqual([]);
  });

  it('runs before a RateLimitGuard that is request-scoped too', async () => {
    const app = await start({
      ...limited([UsersController]),
      providers: [
        authentication,
        {
          provide: APP_GUARD,
          scope: Scope.REQUEST,
          useFactory: (guard: RateLimitGuard) => guard,
          inject: [RateLimitGuard],
        },
      ],
    });
    expect((await app.get('/mine', as('ann'))).remaining).toBe('"user";r=0');
    expect((await app.get('/mine', as('bob'))).remaining).toBe('"user";r=0');
    expect((await app.get('/mine', as('ann'))).status).toBe(429);
    expect(app.log.warnings).toEqual([]);
  });
});

describeOverHttp('A limit for after authentication that nothing counts', (start) => {
  @Controller()
  @UseGuards(AuthGuard)
  class ForgetfulController {
    @Get('forgotten')
    @RateLimit('1/minute', { name: 'user', key: 'user', phase: 'afterAuth' })
    forgotten() {
      return '';
    }

    @Get('bound')
    @UseGuards(RateLimitGuard)
    @RateLimit('9/minute', { name: 'bound', key: 'user', phase: 'afterAuth' })
    bound() {
      return '';
    }
  }

  it('causes one warning, at the first successful response', async () => {
    const app = await start(limited([ForgetfulController]));
    expect(await app.statuses(2, '/forgotten')).toEqual([401, 401]);
    expect(app.log.warnings).toEqual([]);
    expect(await app.statuses(3, '/forgotten', as('ann'))).toEqual([200, 200, 200]);
    expect(await app.statuses(3, '/bound', as('ann'))).toEqual([200, 200, 200]);
    expect(app.log.warnings).toEqual([
      `@RateLimit on ForgetfulController.forgotten: the limit "user" of the phase 'afterAuth' is not counted on the route "GET /forgotten", ` +
        'where RateLimitGuard is not bound. Bind it after your own guard: @UseGuards(YourGuard, RateLimitGuard).',
    ]);
  });

  it('causes a warning for a rule', async () => {
    @Controller()
    class FreeController {
      @Get('free')
      free() {
        return '';
      }
    }
    const rules = [{ id: 'late', path: '/**', limits: '1/minute', phase: 'afterAuth' as const }];
    const app = await start(limited([FreeController], { rules }));
    expect(await app.statuses(3, '/free')).toEqual([200, 200, 200]);
    expect(app.log.warnings).toEqual([
      `The rule "late": the limit "late" of the phase 'afterAuth' is not counted on the route "GET /free", ` +
        'where RateLimitGuard is not bound. Bind it after your own guard: @UseGuards(YourGuard, RateLimitGuard).',
    ]);
  });
});

describeOverHttp('A limit per user that counts before the user is known', (start) => {
  @Controller()
  @UseGuards(AuthGuard)
  class EarlyController {
    @Get('user')
    @RateLimit('9/minute', { key: 'user' })
    user() {
      return '';
    }

    @Get('composite')
    @RateLimit('9/minute', { key: ['user', 'ip'] })
    composite() {
      return '';
    }

    @Get('first')
    @RateLimit('9/minute', { key: firstOf('user', 'ip') })
    first() {
      return '';
    }
  }

  it.each(['user', 'composite', 'first'])('causes one warning: %s', async (path) => {
    const app = await start(limited([EarlyController]));
    expect((await app.get(`/${path}`)).status).toBe(401);
    expect(app.log.warnings).toEqual([]);
    expect(await app.statuses(3, `/${path}`, as('ann'))).toEqual([200, 200, 200]);
    expect(app.log.warnings).toEqual([
      `@RateLimit on EarlyController.${path}: the key "user" was looked up before the user was known, so the address was counted instead. ` +
        "Give the limit phase: 'afterAuth', and bind RateLimitGuard after your own guard.",
    ]);
  });

  it('causes no warning without a user', async () => {
    @Controller()
    class AnonymousController {
      @Get()
      @RateLimit('9/minute', { key: 'user' })
      get() {
        return '';
      }
    }
    const app = await start(limited([AnonymousController]));
    expect(await app.statuses(3, '/')).toEqual([200, 200, 200]);
    expect(app.log.warnings).toEqual([]);
  });
});
