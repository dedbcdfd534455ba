import { expect, it } from '@jest/globals';
import {
  Controller,
  Get,
  HttpException,
  Module,
  type ExecutionContext,
  type MiddlewareConsumer,
} from '@nestjs/common';
import {
  MemoryStorage,
  RateLimit,
  RateLimiterService,
  RateLimitMiddleware,
  type RateLimitModuleOptions,
} from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { setImmediate as immediate } from 'node:timers/promises';
import { describeOverHttp, limited } from '../support/http-app.js';

const query = (context: ExecutionContext): Record<string, string | undefined> =>
  context.switchToHttp().getRequest<{ query: Record<string, string | undefined> }>().query;

@Controller()
class OptionsController {
  @Get('block')
  @RateLimit('1/minute', { name: 'block', block: ['10 minutes', '1 hour'] })
  block() {
    return '';
  }

  @Get('shadow')
  @RateLimit('1/minute', { name: 'trial', mode: 'shadow' })
  @RateLimit('3/minute', { name: 'real' })
  shadow() {
    return '';
  }

  @Get('shadow-only')
  @RateLimit('1/minute', { name: 'only-trial', mode: 'shadow' })
  shadowOnly() {
    return '';
  }

  @Get('skip')
  @RateLimit('1/minute', {
    name: 'skip',
    skip: async (context) => {
      await immediate();
      return query(context)['skip'] === 'yes';
    },
  })
  skip() {
    return '';
  }

  @Get('dynamic')
  @RateLimit((context) => query(context)['limit'] ?? '2/minute', { name: 'dynamic' })
  dynamic() {
    return '';
  }

  @Get('later')
  @RateLimit(async (context) => Promise.resolve(query(context)['limit'] ?? '2/minute'), { name: 'later' })
  later() {
    return '';
  }

  @Get('all')
  @RateLimit((context) => query(context)['limit'] ?? '10/minute', {
    name: 'dear',
    cost: async (context) => Promise.resolve(Number(query(context)['cost'] ?? 1)),
    skip: async (context) => Promise.resolve(query(context)['skip'] === 'yes'),
    key: (context) => query(context)['key'],
    strategy: 'token-bucket',
    block: '1 hour',
    errorMessage: 'Too dear.',
  })
  @RateLimit('100/minute', { name: 'trial', mode: 'shadow', cost: 60 })
  all() {
    return '';
  }

  @Get('messages')
  @RateLimit('1/minute', { name: 'own', errorMessage: 'Once a minute.' })
  @RateLimit('2/hour', { name: 'other' })
  messages() {
    return '';
  }
}

describeOverHttp('A block', (start) => {
  it('blocks a limit for increasing durations, and then allows again', async () => {
    const clock = new ManualClock();
    const app = await start(limited([OptionsController], { storage: new MemoryStorage({ clock }) }, clock));
    const retryAfter = async (): Promise<string | null> =>
      (await app.get('/block')).headers.get('retry-after');
    expect((await app.get('/block')).status).toBe(200);
    expect(await retryAfter()).toBe('600');
    clock.advance(60_000);
    expect(await retryAfter()).toBe('540');
    clock.advance(540_000);
    expect((await app.get('/block')).status).toBe(200);
    expect(await retryAfter()).toBe('3600');
    clock.advance(3_600_000);
    expect((await app.get('/block')).status).toBe(200);
  });
});

describeOverHttp('A shadow limit', (start) => {
  it('counts, refuses nothing, and is not visible to clients', async () => {
    const app = await start(limited([OptionsController]));
    expect((await app.get('/shadow')).remaining).toBe('"real";r=2');
    expect((await app.get('/shadow')).remaining).toBe('"real";r=1');
    expect((await app.get('/shadow')).remaining).toBe('"real";r=0');
    const refused = await app.get('/shadow');
    expect([refused.status, refused.headers.get('ratelimit-policy')]).toEqual([429, '"real";q=3;w=60']);
    expect((refused.body as { limit: unknown }).limit).toMatchObject({ name: 'real' });
    const { allowed, limits } = await app.nest
      .get(RateLimiterService)
      .peek({ policy: 'trial', route: 'GET /shadow' }, '127.0.0.1');
    expect([allowed, limits[0]?.allowed, limits[0]?.remaining]).toEqual([true, false, 0]);
    const alone = await Promise.all([1, 2, 3].map(() => app.get('/shadow-only')));
    expect(alone.map(({ status, fields }) => [status, fields])).toEqual(Array(3).fill([200, {}]));
  });
});

describeOverHttp('A function', (start) => {
  it('can return asynchronously whether to skip', async () => {
    const app = await start(limited([OptionsController]));
    expect(await app.statuses(3, '/skip?skip=yes')).toEqual([200, 200, 200]);
    expect(await app.statuses(2, '/skip')).toEqual([200, 429]);
    expect(await app.statuses(1, '/skip?skip=yes')).toEqual([200]);
  });

  it.each(['dynamic', 'later'])('that returns limits counts them together by window: %s', async (path) => {
    const app = await start(limited([OptionsController]));
    const get = async (limit?: string): Promise<string | null> =>
      (await app.get(`/${path}${limit === undefined ? '' : `?limit=${encodeURIComponent(limit)}`}`))
        .remaining;
    expect(await get()).toBe(`"${path}";r=1`);
    expect(await get('10/minute')).toBe(`"${path}";r=8`);
    expect(await get('10/minute; 100/hour')).toBe(`"${path}/minute";r=7, "${path}/hour";r=99`);
    expect(await get('unlimited')).toBeNull();
    expect((await app.get(`/${path}`)).status).toBe(429);
  });

  it('that returns no limits causes a log line and a 500', async () => {
    const app = await start(limited([OptionsController]));
    expect((await app.get('/dynamic?limit=many')).status).toBe(500);
    expect(app.log.errors.map((error) => (error as Error).message)).toEqual([
      expect.stringMatching(
        /^@RateLimit on OptionsController\.dynamic: the function "limits" failed: Cannot read the rate limit "many"/,
      ),
    ]);
  });

  it('can be combined: limits, cost, skip, key, shadow and block', async () => {
    const clock = new ManualClock();
    const app = await start(limited([OptionsController], { storage: new MemoryStorage({ clock }) }, clock));
    expect((await app.get('/all?cost=4')).remaining).toBe('"dear";r=6');
    expect((await app.get('/all?cost=4&limit=20/minute')).remaining).toBe('"dear";r=12');
    expect((await app.get('/all?cost=4&skip=yes')).remaining).toBeNull();
    expect((await app.get('/all?cost=4&key=other')).remaining).toBe('"dear";r=6');
    const refused = await app.get('/all?cost=4');
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '3600']);
    expect(refused.body).toMatchObject({ message: 'Too dear.' });
    expect((await app.get('/all?cost=11&key=third')).headers.get('retry-after')).toBeNull();
    clock.advance(3_600_000);
    expect((await app.get('/all?cost=4')).remaining).toBe('"dear";r=6');
  });
});

describeOverHttp('A refusal', (start) => {
  it('is that of the refusing policy, or else of the module', async () => {
    const clock = new ManualClock();
    const options = { storage: new MemoryStorage({ clock }), errorMessage: 'Slow down.' };
    const app = await start(limited([OptionsController], options, clock));
    expect((await app.get('/messages')).status).toBe(200);
    expect((await app.get('/messages')).body).toMatchObject({ message: 'Once a minute.' });
    clock.advance(60_000);
    expect((await app.get('/messages')).status).toBe(200);
    clock.advance(60_000);
    expect((await app.get('/messages')).body).toMatchObject({ message: 'Slow down.' });
  });

  const PROBLEM = {
    type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
    title: 'Request cannot be satisfied as assigned quota has been exceeded',
    status: 429,
    detail: 'Once a minute.',
    'violated-policies': ['own'],
  };

  it('can be problem details, with their media type', async () => {
    const app = await start(limited([OptionsController], { errorFormat: 'problem' }));
    await app.get('/messages');
    const refused = await app.get('/messages');
    expect(refused.status).toBe(429);
    expect(refused.headers.get('content-type')).toMatch(/^application\/problem\+json(; charset=utf-8)?$/);
    expect(refused.body).toEqual(PROBLEM);
    expect(refused.headers.get('retry-after')).toBe('60');
    expect(app.log.entries).toEqual([]);
  });

  it('can also be problem details in the middleware', async () => {
    const rules = [{ id: 'own', path: '/**', limits: '1/minute', errorMessage: 'Once a minute.' }];
    @Module(limited([], { errorFormat: 'problem', rules }))
    class MiddlewareModule {
      configure(consumer: MiddlewareConsumer): void {
        consumer.apply(RateLimitMiddleware).forRoutes('*path');
      }
    }
    const app = await start({ imports: [MiddlewareModule] });
    await app.get('/nothing');
    const refused = await app.get('/nothing');
    expect(refused.status).toBe(429);
    expect(refused.headers.get('content-type')).toMatch(/^application\/problem\+json(; charset=utf-8)?$/);
    expect(refused.body).toEqual(PROBLEM);
  });

  it('can be an error of the application', async () => {
    const errorFactory: RateLimitModuleOptions['errorFactory'] = ({ binding }, context) =>
      new HttpException({ slow: binding.limit.name, path: context.getHandler().name }, 503);
    const app = await start(limited([OptionsController], { errorFactory }));
    await app.get('/messages');
    const refused = await app.get('/messages');
    expect([refused.status, refused.body]).toEqual([503, { slow: 'own', path: 'messages' }]);
    expect(refused.headers.get('retry-after')).toBe('60');
  });
});
