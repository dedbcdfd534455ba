import { expect, it } from '@jest/globals';
import { Controller, Module, Post, type ExecutionContext, type MiddlewareConsumer } from '@nestjs/common';
import { applyRateLimits, RateLimitMiddleware, type RateLimitModuleOptions } from 'nestjs-limits';
import { describeOverHttp, limited, type HttpApp } from '../support/http-app.js';

@Controller()
class LoginController {
  @Post('login')
  login() {
    return '';
  }
}

const nameIn = (context: ExecutionContext): string | undefined =>
  context.switchToHttp().getRequest<{ body?: { name?: string } }>().body?.name;

async function post(app: HttpApp, body?: string): Promise<number> {
  const headers: Record<string, string> = body === undefined ? {} : { 'content-type': 'application/json' };
  const url = `${await app.nest.getUrl()}/login`;
  return (await fetch(url, { method: 'POST', headers, ...(body === undefined ? {} : { body }) })).status;
}

const withKey = (key: (context: ExecutionContext) => string | undefined): RateLimitModuleOptions => ({
  rules: [{ id: 'names', path: '/**', limits: '2/minute', key }],
});

const WARNING =
  'The rule "names": the function "key" found nothing in a middleware that runs before the body is parsed, so the address was counted ' +
  'instead. If it reads the body, give the limit to the route, where the guard counts it.';

describeOverHttp('A key that reads the body', (start, platform) => {
  it('before the parser counts the address, and is warned of once', async () => {
    const app = await start(limited([LoginController], withKey(nameIn)), { configure: applyRateLimits });
    expect(await post(app, '{"name":"ann"}')).toBe(201);
    expect(await post(app, '{"name":"bob"}')).toBe(201);
    expect(await post(app, '{"name":"cyd"}')).toBe(429);
    expect(app.log.warnings).toEqual([WARNING]);
  });

  it('in middleware of a module is warned of where the parser comes later', async () => {
    @Module(limited([LoginController], withKey(nameIn)))
    class MiddlewareModule {
      configure(consumer: MiddlewareConsumer): void {
        consumer.apply(RateLimitMiddleware).forRoutes('*path');
      }
    }
    const app = await start({ imports: [MiddlewareModule] });
    expect(await post(app, '{"name":"ann"}')).toBe(201);
    expect(await post(app, '{"name":"bob"}')).toBe(201);
    expect(await post(app, '{"name":"cyd"}')).toBe(platform === 'express' ? 201 : 429);
    expect(app.log.warnings).toEqual(platform === 'express' ? [] : [WARNING]);
  });

  it('brings no warning without a body, with an identity, and in the guard', async () => {
    const middleware = { configure: applyRateLimits };
    const empty = await start(limited([LoginController], withKey(nameIn)), middleware);
    expect(await post(empty)).toBe(201);
    const known = await start(
      limited(
        [LoginController],
        withKey(() => 'everybody'),
      ),
      middleware,
    );
    expect(await post(known, '{"name":"ann"}')).toBe(201);
    const guarded = await start(limited([LoginController], withKey(nameIn)));
    expect(await post(guarded, '{}')).toBe(201);
    expect([empty, known, guarded].flatMap(({ log }) => log.warnings)).toEqual([]);
  });

  it('by name brings the same warning', async () => {
    const rules = [{ id: 'names', path: '/**', limits: '2/minute', key: 'body:name' as const }];
    const app = await start(limited([LoginController], { rules, limits: '99/minute' }), {
      configure: applyRateLimits,
    });
    expect(await post(app, '{"name":"ann"}')).toBe(201);
    expect(app.log.warnings).toEqual([
      'The key "body:name" found nothing in a middleware that runs before the body is parsed, so the address was counted instead. ' +
        'If it reads the body, give the limit to the route, where the guard counts it.',
    ]);
  });
});
