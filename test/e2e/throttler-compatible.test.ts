import { describe, expect, it } from '@jest/globals';
import {
  Catch,
  Controller,
  Get,
  HttpException,
  type ArgumentsHost,
  type ExecutionContext,
} from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { Query, Resolver } from '@nestjs/graphql';
import {
  RateLimit,
  RateLimitExceededException,
  RateLimitGuard,
  RateLimitModule,
  throttlerCompatible,
  type RateLimitModuleOptions,
} from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { describeOverGraphql } from '../support/graphql-app.js';
import { describeOverHttp, limited } from '../support/http-app.js';

const SECOND = 1000;
const throttled = { statusCode: 429, message: 'ThrottlerException: Too Many Requests' };

@Controller()
class CatsController {
  @Get()
  findAll() {
    return '';
  }

  @Get('login')
  @RateLimit('1 per 10 seconds', { name: 'login' })
  login() {
    return '';
  }
}

const options: RateLimitModuleOptions = {
  ...throttlerCompatible(),
  limits: [
    { limits: '2 per 10 seconds', scope: 'route' },
    { limits: '9/minute', name: 'login', scope: 'route' },
  ],
};

describeOverHttp('An application with throttlerCompatible()', (start) => {
  it('sends one set of fields per limit, and the body of the throttler', async () => {
    const app = await start(limited([CatsController], options));
    const { fields } = await app.get('/login');
    expect(fields).toEqual({
      'x-ratelimit-limit': '2',
      'x-ratelimit-remaining': '1',
      'x-ratelimit-reset': '10',
      'x-ratelimit-limit-login': '1',
      'x-ratelimit-remaining-login': '0',
      'x-ratelimit-reset-login': '10',
    });
    const refused = await app.get('/login');
    expect([refused.status, refused.body]).toEqual([429, throttled]);
    const waits = ['retry-after', 'retry-after-login'].map((name) => refused.headers.get(name));
    expect(waits).toEqual(['10', '10']);
  });

  it('blocks for the length of the window after a refusal, and then counts from zero', async () => {
    const clock = new ManualClock();
    const app = await start(limited([CatsController], options, clock));
    expect(await app.statuses(2, '/')).toEqual([200, 200]);
    clock.advance(9 * SECOND);
    expect(await app.statuses(1, '/')).toEqual([429]);
    clock.advance(10 * SECOND - 1);
    expect(await app.statuses(1, '/')).toEqual([429]);
    clock.advance(1);
    expect(await app.statuses(3, '/')).toEqual([200, 200, 429]);
  });

  it('counts a moving window', async () => {
    const clock = new ManualClock();
    const app = await start(limited([CatsController], options, clock));
    await app.get('/');
    clock.advance(9 * SECOND);
    await app.get('/');
    clock.advance(SECOND);
    expect(await app.statuses(2, '/')).toEqual([200, 429]);
  });

  it('takes an own message, and an own error instead of the format', async () => {
    const app = await start(limited([CatsController], { ...options, errorMessage: 'Slow down.' }));
    await app.get('/login');
    expect((await app.get('/login')).body).toEqual({ statusCode: 429, message: 'Slow down.' });
    const other = await start(
      limited([CatsController], {
        ...options,
        errorFormat: undefined,
        errorFactory: () => new HttpException('Gone.', 410),
      }),
    );
    await other.get('/login');
    expect((await other.get('/login')).status).toBe(410);
  });

  it('throws a RateLimitExceededException, whose body has all details', async () => {
    const seen: unknown[] = [];
    @Catch(RateLimitExceededException)
    class Filter {
      catch(exception: RateLimitExceededException, host: ArgumentsHost): void {
        seen.push(exception.getResponse(), exception.body.limit);
        const response = host
          .switchToHttp()
          .getResponse<{ status(code: number): { send(text: string): void } }>();
        response.status(503).send('');
      }
    }
    const app = await start(limited([CatsController], options), {
      configure: (nest) => nest.useGlobalFilters(new Filter()),
    });
    await app.get('/login');
    expect((await app.get('/login')).status).toBe(503);
    expect(seen).toEqual([throttled, { name: 'login', amount: 1, period: 10, remaining: 0 }]);
  });
});

describeOverHttp('A guard of the application that extends RateLimitGuard', (start) => {
  it('decides whether a request is counted, with guard: false', async () => {
    class HeaderGuard extends RateLimitGuard {
      override canActivate(context: ExecutionContext) {
        const { headers } = context.switchToHttp().getRequest<{ headers: Record<string, unknown> }>();
        return headers['x-internal'] === 'yes' || super.canActivate(context);
      }
    }
    const app = await start({
      imports: [RateLimitModule.forRoot({ ...options, guard: false })],
      controllers: [CatsController],
      providers: [{ provide: APP_GUARD, useClass: HeaderGuard }],
    });
    expect(await app.statuses(3, '/')).toEqual([200, 200, 429]);
    expect(await app.statuses(2, '/', { 'x-internal': 'yes' })).toEqual([200, 200]);
  });
});

@Resolver()
class BooksResolver {
  @Query(() => String, { nullable: true })
  book() {
    return 'Dune';
  }
}

describeOverGraphql('GraphQL with the option headers.graphql', (start, server) => {
  // By default, the context of Apollo on Fastify has no response.
  const apollo =
    server === 'Apollo on fastify' ? { context: (req: unknown, reply: unknown) => ({ req, reply }) } : {};

  const fieldsOf = async (url: string): Promise<Record<string, string>> => {
    const { headers } = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query: '{ book }' }),
    });
    return Object.fromEntries([...headers].filter(([name]) => /^(x-)?ratelimit|^retry-after/.test(name)));
  };

  it('sends the fields on the HTTP response, of a refusal too', async () => {
    const limits: RateLimitModuleOptions = {
      limits: '1/minute',
      headers: { legacy: true, standard: false, graphql: true },
    };
    const app = await start([BooksResolver], { limits, apollo });
    const counted = { 'x-ratelimit-limit': '1', 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '60' };
    expect(await fieldsOf(app.url)).toEqual(counted);
    expect(await fieldsOf(app.url)).toEqual({ ...counted, 'retry-after': '60' });
  });

  it('sends none by default', async () => {
    const app = await start([BooksResolver], {
      limits: { limits: '1/minute', headers: { legacy: true } },
      apollo,
    });
    expect(await fieldsOf(app.url)).toEqual({});
  });
});

describe('throttlerCompatible', () => {
  it('returns new options each time, since an application may change them', () => {
    expect(throttlerCompatible()).toEqual(throttlerCompatible());
    expect(throttlerCompatible().headers).not.toBe(throttlerCompatible().headers);
  });
});
