import { expect, it } from '@jest/globals';
import { Controller, Get, type ExecutionContext } from '@nestjs/common';
import { RateLimit, ResolverError, type RateLimitOptions } from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { describeOverHttp, limited, type HttpApp, type StartHttpApp } from '../support/http-app.js';

/** The value of `?cost=…`. */
const asked = (context: ExecutionContext): number =>
  Number(context.switchToHttp().getRequest<{ query: Record<string, string> }>().query['cost']);

function startWith(
  start: StartHttpApp,
  limit: string,
  options: RateLimitOptions,
  clock = new ManualClock(),
): Promise<HttpApp> {
  @Controller()
  class CostController {
    @Get()
    @RateLimit(limit, options)
    get() {
      return '';
    }
  }
  return start(limited([CostController], {}, clock));
}

describeOverHttp('The cost of a request', (start) => {
  it('is one unit by default', async () => {
    const app = await startWith(start, '3/minute', {});
    expect((await app.get('/')).remaining).toBe('"default";r=2');
  });

  it('is taken as a whole or not at all', async () => {
    const app = await startWith(start, '10/minute', { cost: 4 });
    expect((await app.get('/')).remaining).toBe('"default";r=6');
    expect((await app.get('/')).remaining).toBe('"default";r=2');
    const refused = await app.get('/');
    expect([refused.status, refused.remaining]).toEqual([429, '"default";r=2']);
  });

  it.each([
    ['at once', asked],
    ['later', async (context: ExecutionContext) => Promise.resolve(asked(context))],
  ])('can be computed per request, %s', async (_when, cost) => {
    const app = await startWith(start, '10/minute', { cost });
    expect((await app.get('/?cost=7')).remaining).toBe('"default";r=3');
    expect((await app.get('/?cost=4')).status).toBe(429);
    expect((await app.get('/?cost=3')).remaining).toBe('"default";r=0');
  });

  it('is that of the policy for its own limits, and not for others', async () => {
    @Controller()
    class TwoCostsController {
      @Get()
      @RateLimit('10/minute; 100/hour', { cost: 3 })
      @RateLimit('10/minute', { name: 'requests' })
      get() {
        return '';
      }
    }
    const app = await start(limited([TwoCostsController]));
    expect((await app.get('/')).remaining).toBe('"default/minute";r=7, "default/hour";r=97, "requests";r=9');
  });

  it('of 0 is always allowed and takes nothing, even with nothing left', async () => {
    const app = await startWith(start, '2/minute', { cost: asked });
    expect((await app.get('/?cost=0')).fields).toEqual({
      'ratelimit-policy': '"default";q=2;w=60',
      ratelimit: '"default";r=2;t=0',
    });
    await app.get('/?cost=2');
    const free = await app.get('/?cost=0');
    expect([free.status, free.fields['ratelimit']]).toEqual([200, '"default";r=0;t=60']);
    expect((await app.get('/?cost=1')).status).toBe(429);
  });

  it('above the capacity is never allowed: no wait would help', async () => {
    const app = await startWith(start, '5/minute', { cost: asked });
    const refused = await app.get('/?cost=6');
    expect(refused.status).toBe(429);
    expect(refused.fields).toEqual({ 'ratelimit-policy': '"default";q=5;w=60', ratelimit: '"default";r=5' });
    expect(refused.body).toEqual({
      statusCode: 429,
      error: 'Too Many Requests',
      message: 'Rate limit "default" exceeded: 5 per minute. Waiting would not help.',
      limit: { name: 'default', amount: 5, period: 60, remaining: 5 },
      retryAfter: null,
    });
    expect((await app.get('/?cost=5')).status).toBe(200);
  });

  it('is never allowed by a limit of 0', async () => {
    const app = await startWith(start, '0/minute', {});
    const refused = await app.get('/');
    expect(refused.status).toBe(429);
    expect(refused.fields).toEqual({ 'ratelimit-policy': '"default";q=0;w=60', ratelimit: '"default";r=0' });
    expect(refused.body).toMatchObject({ retryAfter: null });
  });

  it('above the capacity of one limit is reported so, even if another limit only needs a wait', async () => {
    @Controller()
    class BothController {
      @Get()
      @RateLimit('6/minute', { name: 'wide', cost: asked })
      @RateLimit('3/hour', { name: 'narrow', cost: asked })
      get() {
        return '';
      }
    }
    const app = await start(limited([BothController]));
    await app.get('/?cost=3');
    const refused = await app.get('/?cost=4');
    expect(refused.status).toBe(429);
    expect(refused.fields).toEqual({
      'ratelimit-policy': '"wide";q=6;w=60, "narrow";q=3;w=3600',
      ratelimit: '"wide";r=3;t=60, "narrow";r=0',
    });
    expect(refused.body).toMatchObject({ limit: { name: 'narrow' }, retryAfter: null });
  });

  it('within the burst of a token bucket waits until there are enough tokens', async () => {
    const clock = new ManualClock();
    const options = { strategy: 'token-bucket', burst: 10, cost: asked } as const;
    const app = await startWith(start, '60/minute', options, clock);
    expect((await app.get('/?cost=8')).remaining).toBe('"default";r=2');
    const refused = await app.get('/?cost=5');
    expect([refused.status, refused.fields['retry-after']]).toEqual([429, '3']);
    clock.advance(3000);
    expect((await app.get('/?cost=5')).status).toBe(200);
    expect((await app.get('/?cost=11')).body).toMatchObject({ retryAfter: null });
  });

  it.each(['x', '1e999', '-1', '0.5'])(
    'that a client sets to "%s" is invalid: 500, and the reason logged',
    async (cost) => {
      const app = await startWith(start, '5/minute', { cost: asked });
      expect((await app.get(`/?cost=${cost}`)).status).toBe(500);
      const [error] = app.log.errors;
      expect(error).toBeInstanceOf(ResolverError);
      expect((error as ResolverError).cause).toBeInstanceOf(RangeError);
      expect((error as ResolverError).message).toMatch(
        /^@RateLimit on CostController\.get: the function "cost" failed: The cost of a hit must be a whole number from 0; got the number /,
      );
      expect((await app.get('/?cost=5')).status).toBe(200);
    },
  );
});
