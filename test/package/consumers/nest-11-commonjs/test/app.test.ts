import {
  Controller,
  Get,
  Injectable,
  Logger,
  Module,
  Scope,
  type CanActivate,
  type INestApplication,
  type Type,
} from '@nestjs/common';
import { APP_GUARD, LazyModuleLoader } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import {
  FixedWindowRateLimiter,
  MemoryStorage,
  parse,
  RateLimit,
  RateLimitGuard,
  RateLimitModule,
} from 'nestjs-limits';
import { describeStorage, ManualClock } from 'nestjs-limits/testing';
import { AppModule } from '../src/app.module';
import { ConfiguredAppModule, LimitsConfig } from '../src/configured-app.module';
import { HealthModule } from '../src/health.module';

async function start(module: Type): Promise<{ app: INestApplication; url: string }> {
  const testingModule = await Test.createTestingModule({ imports: [module] }).compile();
  const app = testingModule.createNestApplication();
  await app.listen(0, '127.0.0.1');
  return { app, url: await app.getUrl() };
}

async function statuses(url: string, requests: number): Promise<number[]> {
  const seen: number[] = [];
  for (let request = 0; request < requests; request++) seen.push((await fetch(url)).status);
  return seen;
}

describe('RateLimitModule.forRoot', () => {
  let app: INestApplication;
  let url: string;
  beforeAll(async () => {
    ({ app, url } = await start(AppModule));
  });
  afterAll(() => app.close());

  it('allows three requests and refuses the fourth', async () => {
    expect(await statuses(`${url}/greeting`, 3)).toEqual([200, 200, 200]);

    const refusal = await fetch(`${url}/greeting`);
    expect(refusal.status).toBe(429);
    const seconds = Number(refusal.headers.get('retry-after'));
    expect(seconds).toBeGreaterThan(30);
    expect(seconds).toBeLessThanOrEqual(60);
    expect(refusal.headers.get('ratelimit-policy')).toBe('"default";q=3;w=60');
    expect(refusal.headers.get('ratelimit')).toBe(`"default";r=0;t=${seconds}`);
    expect(await refusal.json()).toEqual({
      statusCode: 429,
      error: 'Too Many Requests',
      message: `Rate limit "default" exceeded: 3 per minute. Try again in ${seconds} s.`,
      limit: { name: 'default', amount: 3, period: 60, remaining: 0 },
      retryAfter: seconds,
    });
  });

  it('injects RateLimiterService by its type', async () => {
    expect(await (await fetch(`${url}/mail`)).json()).toEqual({ allowed: true });
    expect(await (await fetch(`${url}/mail`)).json()).toEqual({ allowed: false });
  });
});

describe('RateLimitModule.forRootAsync', () => {
  it('takes its options from an injected provider', async () => {
    const { app, url } = await start(ConfiguredAppModule);
    try {
      expect(await statuses(`${url}/ping`, 3)).toEqual([200, 200, 429]);
      app.get(LimitsConfig).clock.advance(60_000);
      expect(await statuses(`${url}/ping`, 1)).toEqual([200]);
    } finally {
      await app.close();
    }
  });
});

describe('the health check of terminus 11', () => {
  it('passes while the store is down, reports that limits are degraded, and fails only with that option', async () => {
    const { app, url } = await start(HealthModule);
    try {
      const reply = await fetch(`${url}/health`);
      expect(reply.status).toBe(200);
      expect(await reply.json()).toMatchObject({
        status: 'ok',
        details: {
          'rate-limit': { status: 'up', store: 'MemcachedStorage', degraded: true, onError: 'fallback' },
        },
      });
      expect(await statuses(`${url}/health/strict`, 1)).toEqual([503]);
    } finally {
      await app.close();
    }
  });
});

describe('RateLimitModule, loaded by LazyModuleLoader,', () => {
  it('is refused, since its guard would limit no request', async () => {
    const { app } = await start(class PlainModule {});
    try {
      await expect(app.get(LazyModuleLoader).load(() => AppModule)).rejects.toThrow(
        'RateLimitModule is loaded by LazyModuleLoader',
      );
    } finally {
      await app.close();
    }
  });
});

describe('a request-scoped global guard', () => {
  it('causes a warning if Nest calls it after RateLimitGuard', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class AuthGuard implements CanActivate {
      canActivate(): boolean {
        return true;
      }
    }
    @Controller()
    class UsersController {
      @Get()
      @RateLimit('1/minute', { key: 'user', phase: 'afterAuth' })
      list(): void {}
    }
    @Module({
      imports: [RateLimitModule.forRoot()],
      controllers: [UsersController],
      providers: [
        { provide: APP_GUARD, useClass: AuthGuard },
        { provide: APP_GUARD, useExisting: RateLimitGuard },
      ],
    })
    class UsersModule {}
    const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation();
    const { app } = await start(UsersModule);
    try {
      expect(warn.mock.calls).toEqual([
        [expect.stringContaining('is counted before a global guard that is request-scoped')],
      ]);
    } finally {
      warn.mockRestore();
      await app.close();
    }
  });
});

describe('without NestJS', () => {
  it('limits by hand', () => {
    const clock = new ManualClock();
    const limiter = new FixedWindowRateLimiter(new MemoryStorage({ clock }));
    const onePerMinute = parse('1/minute');
    expect(limiter.hit(onePerMinute, 'user', '42')).toBe(true);
    expect(limiter.hit(onePerMinute, 'user', '42')).toBe(false);
    clock.advance(60_000);
    expect(limiter.hit(onePerMinute, 'user', '42')).toBe(true);
  });
});

describeStorage('MemoryStorage', { open: (options) => new MemoryStorage(options) });
