import { expect, it } from '@jest/globals';
import {
  All,
  Controller,
  Get,
  Module,
  Post,
  RequestMethod,
  VersioningType,
  type INestApplication,
  type MiddlewareConsumer,
  type ModuleMetadata,
  type Type,
} from '@nestjs/common';
import {
  MemoryStorage,
  RateLimit,
  RateLimiterService,
  RateLimitMiddleware,
  SkipRateLimit,
  type RateLimitModuleOptions,
  type RateLimitRule,
} from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { describeOverHttp, limited, type Platform } from '../support/http-app.js';
import { rawStatus } from '../support/raw-request.js';

@Controller()
class ShopController {
  @Get()
  home() {
    return '';
  }

  @Get('users')
  users() {
    return '';
  }

  @Post('users')
  register() {
    return '';
  }

  @Get('users/:id')
  user() {
    return '';
  }

  @All('any')
  any() {
    return '';
  }

  @Get('login')
  @RateLimit('2/minute', { name: 'own' })
  login() {
    return '';
  }

  @Get('health')
  @SkipRateLimit()
  health() {
    return '';
  }
}

@Controller()
class SkippingController {
  @Get('partly')
  @SkipRateLimit('users')
  partly() {
    return '';
  }
}

/** The platforms have different wildcards. */
function filesController(platform: Platform): Type {
  @Controller()
  class FilesController {
    @Get(platform === 'express' ? 'files/*path' : 'files/*')
    file() {
      return '';
    }
  }
  return FilesController;
}

const withRules = (...rules: RateLimitRule[]): ModuleMetadata => limited([ShopController], { rules });

/** The same, with the middleware before all guards and unknown paths. */
function withMiddleware(options: RateLimitModuleOptions, ...controllers: Type[]): ModuleMetadata {
  @Module(limited([ShopController, ...controllers], options))
  class MiddlewareModule {
    configure(consumer: MiddlewareConsumer): void {
      consumer.apply(RateLimitMiddleware).forRoutes('*path');
    }
  }
  return { imports: [MiddlewareModule] };
}

describeOverHttp('A rule', (start) => {
  it('limits all requests with its methods and paths together, and no others', async () => {
    const app = await start(withRules({ id: 'users', method: 'GET', path: '/users/**', limits: '3/minute' }));
    expect((await app.get('/users')).remaining).toBe('"users";r=2');
    expect((await app.get('/users/1')).remaining).toBe('"users";r=1');
    expect((await app.get('/users/2')).remaining).toBe('"users";r=0');
    expect((await app.get('/users/1')).status).toBe(429);
    expect((await app.post('/users')).remaining).toBeNull();
    expect((await app.get('/')).remaining).toBeNull();
  });

  it('limits only matching routes: others need no decorator to be free', async () => {
    const app = await start(withRules({ id: 'users', path: '/users', limits: '0/minute' }));
    expect(await app.statuses(3, '/')).toEqual([200, 200, 200]);
    expect((await app.get('/users')).status).toBe(429);
  });

  it('applies after the limits of the route, in the same decision', async () => {
    const app = await start(withRules({ id: 'all', path: '/**', limits: '3/minute' }));
    expect((await app.get('/login')).remaining).toBe('"own";r=1, "all";r=2');
    expect((await app.get('/login')).remaining).toBe('"own";r=0, "all";r=1');
    const refused = await app.get('/login');
    expect([refused.status, refused.remaining]).toEqual([429, '"own";r=0, "all";r=1']);
    expect((await app.get('/users')).remaining).toBe('"all";r=0');
  });

  it('with the highest priority applies first, then the one with the more specific path', async () => {
    const app = await start(
      withRules(
        { id: 'all', path: '/**', limits: '9/minute' },
        { id: 'users', path: '/users/**', limits: '9/minute' },
        { id: 'one', path: '/users/:id', limits: '9/minute' },
        { id: 'files', path: '/**', limits: '9/minute', method: 'POST', priority: 1 },
      ),
    );
    expect((await app.get('/')).remaining).toBe('"all";r=8');
    expect((await app.get('/users')).remaining).toBe('"users";r=8');
    expect((await app.get('/users/1')).remaining).toBe('"one";r=8');
    expect((await app.post('/users')).remaining).toBe('"files";r=8');
  });

  it('that continues is combined with the next one', async () => {
    const app = await start(
      withRules(
        { id: 'all', path: '/**', limits: '9/minute', priority: 1, continue: true },
        { id: 'users', path: '/users/**', limits: '2/minute' },
        { id: 'rest', path: '/**', limits: '5/minute' },
      ),
    );
    expect((await app.get('/users')).remaining).toBe('"all";r=8, "users";r=1');
    expect((await app.get('/')).remaining).toBe('"all";r=7, "rest";r=4');
  });

  it('that shares a scope and a name with another rule, or with a route, counts a request once', async () => {
    const shared = { name: 'shared', scope: 'everything', limits: '9/minute' };
    @Controller()
    class SharedController {
      @Get('both')
      @RateLimit('9/minute', { name: 'shared', scope: 'everything' })
      both() {
        return '';
      }
    }
    const app = await start({
      ...limited([ShopController, SharedController], {
        rules: [
          { id: 'a', path: '/**', continue: true, ...shared },
          { id: 'b', path: '/**', ...shared },
        ],
      }),
    });
    expect((await app.get('/')).remaining).toBe('"shared";r=8');
    expect((await app.get('/both')).remaining).toBe('"shared";r=7');
  });

  it('that shares a count with another uses the strictest settings and the highest cost', async () => {
    const shared = { name: 'shared', scope: 'global' };
    @Controller()
    class SharedController {
      @Get('shared')
      shared() {
        return '';
      }
    }
    const app = await start(
      limited([SharedController], {
        limits: [{ ...shared, limits: '100/minute', cost: 2 }],
        rules: [
          { id: 'strict', path: '/**', continue: true, ...shared, limits: '6/minute' },
          { id: 'shadow', path: '/**', ...shared, limits: '1/minute', mode: 'shadow' },
        ],
      }),
    );
    expect((await app.get('/shared')).remaining).toBe('"shared";r=4');
    expect(await app.statuses(3, '/shared')).toEqual([200, 200, 429]);
  });

  it('that shares a count with one by outcome counts every request that either of them counts', async () => {
    const shared = { name: 'n', scope: 's', continue: true };
    const byOutcome = {
      id: 'outcome',
      path: '/**',
      ...shared,
      limits: '2/minute',
      count: 'failure',
    } as const;
    const app = await start(withRules({ id: 'all', path: '/**', ...shared, limits: '3/minute' }, byOutcome));
    expect(await app.statuses(4, '/')).toEqual([200, 200, 429, 429]);
    const alone = await start(withRules({ ...byOutcome, id: 'other' }, byOutcome));
    expect(await alone.statuses(4, '/')).toEqual([200, 200, 200, 200]);
  });

  it('that shares a count with a blocking rule also blocks', async () => {
    const shared = { path: '/**', name: 'n', scope: 's', continue: true };
    const clock = new ManualClock();
    const app = await start(
      limited(
        [ShopController],
        {
          storage: new MemoryStorage({ clock }),
          rules: [
            { id: 'blocking', ...shared, limits: '2/second', block: '1 hour' },
            { id: 'strict', ...shared, limits: '1/second' },
          ],
        },
        clock,
      ),
    );
    expect(await app.statuses(2, '/')).toEqual([200, 429]);
    clock.advance(3_599_000);
    expect(await app.statuses(1, '/')).toEqual([429]);
    clock.advance(1000);
    expect(await app.statuses(1, '/')).toEqual([200]);
  });

  it('that shares a count with a stricter limit on the same path does not weaken it', async () => {
    @Controller()
    class StrictController {
      @Get('strict')
      @RateLimit('1/minute', { name: 'n', scope: 's' })
      strict() {
        return '';
      }
    }
    const rules: RateLimitRule[] = [{ id: 'wide', path: '/**', name: 'n', scope: 's', limits: '100/minute' }];
    const app = await start(withMiddleware({ rules }, StrictController));
    expect((await app.get('/nothing')).remaining).toBe('"n";r=99');
    expect((await app.get('/strict')).status).toBe(429);
  });

  it('that shares a scope and a name with another but not the window applies in addition', async () => {
    const shared = { name: 'shared', scope: 'everything' };
    const app = await start(
      withRules(
        { id: 'a', path: '/**', continue: true, ...shared, limits: '9/minute' },
        { id: 'b', path: '/**', ...shared, limits: '90/hour' },
      ),
    );
    expect((await app.get('/')).remaining).toBe('"shared";r=8, "shared";r=89');
  });

  it('is skipped by name, by its id, or with all others', async () => {
    const rules = [
      { id: 'users', path: '/**', limits: '9/minute', continue: true },
      { id: 'all', path: '/**', limits: '9/minute' },
    ];
    const app = await start(limited([ShopController, SkippingController], { rules }));
    expect((await app.get('/health')).remaining).toBeNull();
    expect((await app.get('/partly')).remaining).toBe('"all";r=8');
    expect((await app.get('/')).remaining).toBe('"users";r=8, "all";r=7');
  });

  it('that a decorator skips by an unknown name stops the start', async () => {
    await expect(start(limited([SkippingController]))).rejects.toThrow(
      '@SkipRateLimit names the policy "users", which does not apply there.',
    );
  });

  it('can have every option of a limit', async () => {
    const app = await start(
      withRules({
        id: 'users',
        path: '/users/**',
        limits: '10/minute',
        strategy: 'token-bucket',
        burst: 20,
        cost: 5,
        key: 'ip',
        errorMessage: 'Not so many users.',
      }),
    );
    const reply = await app.get('/users');
    expect(reply.headers.get('ratelimit-policy')).toBe('"users";q=10;w=60');
    expect(reply.remaining).toBe('"users";r=15');
    expect(await app.statuses(4, '/users')).toEqual([200, 200, 200, 429]);
    expect((await app.get('/users')).body).toMatchObject({ message: 'Not so many users.' });
  });

  it('that is invalid stops the start with its name', async () => {
    await expect(start(withRules({ id: 'broken', path: 'users', limits: '5/minute' }))).rejects.toThrow(
      'The rule "broken": A path begins with "/", such as "/api/**"; got the string "users".',
    );
    await expect(start(withRules({ id: 'broken', path: '/', limits: '5/minuet' }))).rejects.toThrow(
      'The rule "broken": Cannot read the rate limit "5/minuet"',
    );
  });

  it('is resolved by the service by its name', async () => {
    const app = await start(withRules({ id: 'users', path: '/users', limits: '3/minute' }));
    await app.get('/users');
    const service = app.nest.get(RateLimiterService);
    expect((await service.peek({ policy: 'users' }, '127.0.0.1')).remaining).toBe(2);
    expect((await service.peek({ policy: 'users', route: 'rule users' }, '127.0.0.1')).remaining).toBe(2);
  });

  it('that has the name of a route is distinguished from it by the service', async () => {
    const app = await start(withRules({ id: 'own', path: '/users', limits: '3/minute' }));
    const service = app.nest.get(RateLimiterService);
    expect(() => service.peek({ policy: 'own' }, '127.0.0.1')).toThrow(
      `Several policies "own" count apart or differ. Name the route too, { policy: 'own', route }: one of "GET /login", "rule own"`,
    );
    await app.get('/login');
    expect((await service.peek({ policy: 'own', route: 'GET /login' }, '127.0.0.1')).remaining).toBe(1);
    expect((await service.peek({ policy: 'own', route: 'rule own' }, '127.0.0.1')).remaining).toBe(3);
  });
});

describeOverHttp("A rule with the scope 'route'", (start) => {
  const perRoute: RateLimitRule = { id: 'each', path: '/**', limits: '2/minute', scope: 'route' };

  it('counts each route apart, whatever its parameters are', async () => {
    const app = await start(withRules(perRoute));
    expect((await app.get('/users/1')).remaining).toBe('"each";r=1');
    expect(await app.statuses(2, '/users/2')).toEqual([200, 429]);
    expect((await app.get('/users')).remaining).toBe('"each";r=1');
    expect((await app.post('/users')).remaining).toBe('"each";r=1');
    expect((await app.get('/')).remaining).toBe('"each";r=1');
  });

  it('counts only what its path matches of a route', async () => {
    const app = await start(withRules({ ...perRoute, path: '/users/me' }));
    expect((await app.get('/users/me')).remaining).toBe('"each";r=1');
    expect((await app.get('/users/1')).remaining).toBeNull();
    expect((await app.get('/users/me')).remaining).toBe('"each";r=0');
  });

  it('counts no request in the middleware, where no route is known, and once in the guard', async () => {
    const rules: RateLimitRule[] = [perRoute];
    const app = await start(withMiddleware({ rules }));
    expect((await app.get('/users')).remaining).toBe('"each";r=1');
    expect((await app.get('/nothing')).remaining).toBeNull();
  });

  it('ends the search for rules in the middleware as in the guard', async () => {
    const rules = [perRoute, { id: 'rest', path: '/**', limits: '9/minute', priority: -1 }];
    const app = await start(withMiddleware({ rules }));
    expect((await app.get('/users')).remaining).toBe('"each";r=1');
    expect((await app.get('/nothing')).remaining).toBeNull();
  });

  it('applies beside a limit of the same name on a route, and is skipped like others', async () => {
    const app = await start(
      limited([ShopController, SkippingController], {
        rules: [
          { ...perRoute, name: 'own', limits: '9/minute' },
          { ...perRoute, id: 'users' },
        ],
      }),
    );
    expect((await app.get('/login')).remaining).toBe('"own";r=1, "own";r=8');
    expect((await app.get('/health')).remaining).toBeNull();
  });

  it('keeps its counts when rules are replaced', async () => {
    const app = await start(withRules(perRoute));
    await app.get('/users');
    await app.nest.get(RateLimiterService).setRules([{ ...perRoute, limits: '5/minute' }]);
    expect((await app.get('/users')).remaining).toBe('"each";r=3');
    expect((await app.get('/')).remaining).toBe('"each";r=4');
  });

  it('has plans and blocks for each route', async () => {
    const clock = new ManualClock();
    const rule = {
      ...perRoute,
      limits: undefined,
      plans: { free: '1/minute', pro: '9/minute' },
      block: '1 hour',
    };
    const plan = (): string => 'free';
    const app = await start(limited([ShopController], { rules: [rule], plan }, clock));
    expect(await app.statuses(2, '/users')).toEqual([200, 429]);
    clock.advance(60_000);
    expect(await app.statuses(1, '/users')).toEqual([429]);
    expect(await app.statuses(1, '/')).toEqual([200]);
  });

  it('is reached by hand with the name of a route: peek, unblock, clear', async () => {
    const clock = new ManualClock();
    const app = await start(limited([ShopController], { rules: [{ ...perRoute, block: '1 hour' }] }, clock));
    const service = app.nest.get(RateLimiterService);
    const users = { policy: 'each', route: 'GET /users' };
    expect(await app.statuses(3, '/users')).toEqual([200, 200, 429]);
    clock.advance(60_000);
    expect((await service.peek(users, '127.0.0.1')).allowed).toBe(false);
    expect((await service.peek({ ...users, route: 'GET /' }, '127.0.0.1')).allowed).toBe(true);
    await service.unblock(users, '127.0.0.1');
    expect((await app.get('/users')).remaining).toBe('"each";r=1');
    await service.clear(users, '127.0.0.1');
    expect((await service.peek(users, '127.0.0.1')).remaining).toBe(2);
    expect(() => service.peek({ policy: 'each' }, '127.0.0.1')).toThrow(
      /^Several policies "each" count apart or differ. Name the route too, \{ policy: 'each', route \}: one of "GET \/", /,
    );
    expect(() => service.peek({ ...users, route: 'GET /health' }, '127.0.0.1')).toThrow(
      'There is no policy "each" on the route "GET /health".',
    );
  });
});

/**
 * Spellings of /users/me, and of the same path with a query. Not every adapter routes all of them.
 */
const SPELLINGS = [
  '/users/me',
  '/users/ME',
  '/USERS/me',
  '/users/me/',
  '/users/me//',
  '//users//me',
  '/users//me',
  '/users/%6de',
  '/users/%6D%65',
  '/%75sers/me',
  '/users%2Fme',
  '/users/me?a=b',
  '/users/me/?',
  '/users/me#a',
  '/users\\me#a',
  '/users\\me',
  '/users/me;a=b',
  '/./users/me',
  '/x/../users/me',
  'http://example.org/users/me',
  'http://example.org//users/%6de/',
];

describeOverHttp('No spelling of a path', (start, platform) => {
  const narrow: RateLimitRule = { id: 'me', path: '/users/me', limits: '2/minute' };

  it.each(SPELLINGS)('does not bypass a rule for a narrower path: %s', async (path) => {
    const app = await start(withRules(narrow));
    expect(await app.statuses(2, '/users/me')).toEqual([200, 200]);
    for (const method of ['GET', 'HEAD']) {
      const status = await rawStatus(app, path, method);
      // A path that is routed under another id, since ";" is part of an id, belongs to another
      // user.
      if (path.includes(';')) expect([200, 404]).toContain(status);
      else expect([404, 429, 400]).toContain(status);
    }
    expect((await app.get('/users/you')).remaining).toBeNull();
  });

  it.each(SPELLINGS)('does not bypass a rule for whole routes: %s', async (path) => {
    const app = await start(withRules({ id: 'users', path: '/users/*', limits: '2/minute', method: 'GET' }));
    expect(await app.statuses(2, '/users/1')).toEqual([200, 200]);
    for (const method of ['GET', 'HEAD']) {
      expect([404, 429, 400]).toContain(await rawStatus(app, path, method));
    }
  });

  it.each(SPELLINGS)('does not bypass the middleware: %s', async (path) => {
    const app = await start(
      withMiddleware({ rules: [narrow, { id: 'odd', path: '/users/me;a=b', limits: '0/minute' }] }),
    );
    expect(await app.statuses(2, '/users/me')).toEqual([200, 200]);
    const reaches = await rawStatus(app, path);
    expect([404, 429, 400]).toContain(reaches);
  });

  it.each([
    '/files/a/../secret',
    '/files/x%0Ay',
    '/files/a%2Fsecret',
    '/files/%2e%2e/secret',
    '/files/.',
    '/files/\u00e9',
  ])('does not bypass a rule for all paths below one: %s', async (path) => {
    const rules = [{ id: 'files', path: '/files/**', limits: '1/minute', method: '*' }];
    const files = filesController(platform);
    const app = await start(limited([files], { rules }));
    expect(await app.statuses(1, '/files/a')).toEqual([200]);
    expect([404, 429, 400]).toContain(await rawStatus(app, path));
    const behind = await start(withMiddleware({ rules }, files));
    expect(await behind.statuses(1, '/files/a')).toEqual([200]);
    expect([429, 400]).toContain(await rawStatus(behind, path));
  });

  it('escapes by its method: HEAD is GET', async () => {
    const app = await start(withRules({ id: 'users', method: 'GET', path: '/users', limits: '2/minute' }));
    expect((await app.request('HEAD', '/users')).remaining).toBe('"users";r=1');
    expect((await app.get('/users')).remaining).toBe('"users";r=0');
    expect((await app.request('HEAD', '/users')).status).toBe(429);
  });

  it('escapes by a method that the rule has and the route answers with others', async () => {
    const app = await start(withRules({ id: 'posts', method: 'POST', path: '/any', limits: '1/minute' }));
    expect((await app.request('PUT', '/any')).remaining).toBeNull();
    expect((await app.post('/any')).remaining).toBe('"posts";r=0');
    expect((await app.post('/any')).status).toBe(429);
    expect((await app.request('PUT', '/any')).status).toBe(200);
  });
});

describeOverHttp('A path with a prefix and a version', (start) => {
  @Controller({ path: 'users', version: ['1', '2'] })
  class VersionedController {
    @Get(':id')
    get() {
      return '';
    }

    @Get('of/:id')
    @SkipRateLimit()
    free() {
      return '';
    }
  }

  const configure = (app: INestApplication): void => {
    app.setGlobalPrefix('api', { exclude: [{ path: 'health', method: RequestMethod.GET }] });
    app.enableVersioning({ type: VersioningType.URI });
  };

  it('is matched with both', async () => {
    const rules = [
      { id: 'one', path: '/api/v1/users/*', limits: '9/minute' },
      { id: 'two', path: '/api/v2/**', limits: '5/minute' },
      { id: 'none', path: '/users/*', limits: '0/minute' },
      { id: 'health', path: '/health', limits: '7/minute' },
    ];
    @Controller('health')
    class HealthController {
      @Get()
      health() {
        return '';
      }
    }
    const app = await start(limited([VersionedController, HealthController], { rules }), { configure });
    expect((await app.get('/api/v1/users/1')).remaining).toBe('"one";r=8');
    expect((await app.get('/api/v2/users/1')).remaining).toBe('"two";r=4');
    expect((await app.get('/api/v1/users/2')).remaining).toBe('"one";r=7');
    expect((await app.get('/health')).remaining).toBe('"health";r=6');
    expect((await app.get('/api/v1/users/of/1')).remaining).toBeNull();
  });

  it('is the same rule for all versions in a header', async () => {
    const app = await start(
      limited([VersionedController], { rules: [{ id: 'users', path: '/users/me', limits: '9/minute' }] }),
      { configure: (nest) => nest.enableVersioning({ type: VersioningType.HEADER, header: 'x-version' }) },
    );
    expect((await app.get('/users/me', { 'x-version': '1' })).remaining).toBe('"users";r=8');
    expect((await app.get('/users/me', { 'x-version': '2' })).remaining).toBe('"users";r=7');
    expect((await app.get('/users/you', { 'x-version': '1' })).remaining).toBeNull();
  });
});

describeOverHttp('The middleware', (start) => {
  const rules: RateLimitRule[] = [{ id: 'all', path: '/**', limits: '4/minute' }];

  it('limits unknown paths, including floods of 404', async () => {
    const app = await start(withMiddleware({ rules }));
    expect(await app.statuses(5, '/nothing')).toEqual([404, 404, 404, 404, 429]);
    const refused = await app.post('/elsewhere/too');
    expect(refused.status).toBe(429);
    expect(refused.fields).toEqual({
      'ratelimit-policy': '"all";q=4;w=60',
      ratelimit: '"all";r=0;t=60',
      'retry-after': '60',
    });
    expect(refused.body).toMatchObject({ statusCode: 429, limit: { name: 'all' } });
    expect(refused.headers.get('content-type')).toBe('application/json; charset=utf-8');
  });

  it('counts a request once together with the guard', async () => {
    const app = await start(withMiddleware({ rules }));
    expect((await app.get('/users')).remaining).toBe('"all";r=3');
    expect((await app.get('/nothing')).remaining).toBe('"all";r=2');
    expect((await app.get('/login')).remaining).toBe('"all";r=1, "own";r=1');
    expect((await app.get('/login')).remaining).toBe('"all";r=0, "own";r=0');
    expect((await app.get('/users')).status).toBe(429);
  });

  it('does not limit HTTP if only other transports are limited', async () => {
    const app = await start(withMiddleware({ rules, transports: ['ws'] }));
    expect(await app.statuses(5, '/nothing')).toEqual(Array(5).fill(404));
  });

  it('runs before the handler is known, so that decorators of the handler have no effect', async () => {
    const app = await start(withMiddleware({ rules }));
    expect((await app.get('/health')).remaining).toBe('"all";r=3');
  });

  it('waits for asynchronous decisions, and passes errors of the application on', async () => {
    const key = async (): Promise<string> => Promise.resolve('everybody');
    const app = await start(withMiddleware({ rules: [{ id: 'all', path: '/**', limits: '1/minute', key }] }));
    expect(await app.statuses(2, '/nothing')).toEqual([404, 429]);
    const failing = await start(
      withMiddleware({
        rules: [
          {
            id: 'all',
            path: '/**',
            limits: '1/minute',
            key: () => {
              throw new Error('no key');
            },
          },
        ],
      }),
    );
    expect((await failing.get('/nothing')).status).toBe(500);
    expect(failing.log.errors.map((error) => (error as Error).message)).toEqual([
      'The rule "all": the function "key" failed: no key',
    ]);
  });

  it('leaves limits after authentication to the guard behind it', async () => {
    const app = await start(
      withMiddleware({ rules: [{ id: 'late', path: '/**', limits: '1/minute', phase: 'afterAuth' }] }),
    );
    expect(await app.statuses(2, '/nothing')).toEqual([404, 404]);
  });
});
