import { expect, it } from '@jest/globals';
import { Controller, Get, HttpException, Param, Query, Req, type ExecutionContext } from '@nestjs/common';
import {
  ConfigurationError,
  RateLimit,
  RateLimiterService,
  RateLimitInfo,
  type Decision,
  type RequestOutcome,
} from 'nestjs-limits';
import { setImmediate as immediate } from 'node:timers/promises';
import { describeOverHttp, limited, type HttpApp } from '../support/http-app.js';

interface ModelRequest {
  readonly query: { readonly used?: string };
  used?: number;
}

const outcomes: RequestOutcome[] = [];

/** The tokens that a handler has used. */
function usedBy(context: ExecutionContext): number | undefined {
  return context.switchToHttp().getRequest<ModelRequest>().used;
}

@Controller()
class ModelController {
  constructor(private readonly limiter: RateLimiterService) {}

  @Get('tokens')
  @RateLimit('100/minute', { name: 'tokens', cost: 10, actualCost: usedBy })
  tokens(@Req() request: ModelRequest, @Query('used') used?: string) {
    if (used !== undefined) request.used = Number(used);
    return '';
  }

  @Get('later')
  @RateLimit('100/minute', {
    name: 'later',
    cost: 10,
    actualCost: async (_context, outcome) => {
      await immediate();
      outcomes.push(outcome);
      return outcome.success ? 3 : 0;
    },
  })
  later(@Query('fail') fail?: string) {
    if (fail !== undefined) throw new HttpException('', 418);
    return '';
  }

  @Get('invalid/:kind')
  @RateLimit('100/minute', {
    name: 'invalid',
    cost: 10,
    actualCost: (context) => {
      const { kind } = context.switchToHttp().getRequest<{ params: { kind: string } }>().params;
      if (kind === 'throws') throw new Error('no usage');
      return (kind === 'text' ? '5' : Number(kind)) as number;
    },
  })
  invalid(@Param('kind') kind: string) {
    return kind;
  }

  @Get('by-hand')
  @RateLimit('100/minute', { name: 'hand', cost: 10, actualCost: () => 50 })
  async byHand(@RateLimitInfo() decision: Decision) {
    await this.limiter.settle(decision, 7);
    return '';
  }

  @Get('blocked')
  @RateLimit('10/minute', { name: 'blocked', cost: 5, block: '15 minutes', actualCost: usedBy })
  blocked(@Req() request: ModelRequest, @Query('used') used?: string) {
    request.used = Number(used);
    return '';
  }
}

async function peek(app: HttpApp, policy: string): Promise<Decision> {
  for (let turn = 0; turn < 3; turn++) await immediate();
  return app.nest.get(RateLimiterService).peek({ policy }, '127.0.0.1');
}

async function left(app: HttpApp, policy: string): Promise<number> {
  return (await peek(app, policy)).remaining;
}

describeOverHttp('The actual cost of a request', (start) => {
  it('replaces its reservation, up and down, once the response is sent', async () => {
    const app = await start(limited([ModelController]));
    expect((await app.get('/tokens?used=4')).remaining).toBe('"tokens";r=90');
    expect(await left(app, 'tokens')).toBe(96);
    await app.get('/tokens?used=60');
    expect(await left(app, 'tokens')).toBe(36);
  });

  it('is the reservation where the function returns undefined', async () => {
    const app = await start(limited([ModelController]));
    await app.get('/tokens');
    expect(await left(app, 'tokens')).toBe(90);
  });

  it('may exceed the limit: the request was answered, and later ones are refused', async () => {
    const app = await start(limited([ModelController]));
    expect((await app.get('/tokens?used=1000')).status).toBe(200);
    expect(await left(app, 'tokens')).toBe(0);
    expect(await app.statuses(2, '/tokens')).toEqual([429, 429]);
  });

  it('is 0 for a request that a limit refuses', async () => {
    const app = await start(limited([ModelController]));
    await app.get('/tokens?used=95');
    expect(await app.statuses(3, '/tokens')).toEqual([429, 429, 429]);
    expect(await left(app, 'tokens')).toBe(5);
  });

  it('may be found out later, by the outcome', async () => {
    const app = await start(limited([ModelController]));
    outcomes.length = 0;
    await app.statuses(1, '/later');
    await app.statuses(1, '/later?fail=1');
    expect(await left(app, 'later')).toBe(97);
    expect(outcomes).toEqual([
      { success: true, statusCode: 200 },
      { success: false, statusCode: 418 },
    ]);
  });

  it.each([
    ['throws', 'no usage'],
    ['text', 'The cost of a hit must be a whole number from 0; got the string "5".'],
    ['-1', 'The cost of a hit must be a whole number from 0; got the number -1.'],
    ['1.5', 'The cost of a hit must be a whole number from 0; got the number 1.5.'],
    ['NaN', 'The cost of a hit must be a whole number from 0; got the number NaN.'],
  ])('is the reservation where the function fails, which is logged once: %s', async (kind, reason) => {
    const app = await start(limited([ModelController]));
    await app.statuses(2, `/invalid/${kind}`);
    expect(await left(app, 'invalid')).toBe(80);
    expect(app.log.warnings).toEqual([
      `@RateLimit on ModelController.invalid: the function "actualCost" failed, so the request counts its cost: ${reason}`,
    ]);
  });

  it('is the one by hand, if the handler has settled the request', async () => {
    const app = await start(limited([ModelController]));
    expect((await app.get('/by-hand')).status).toBe(200);
    expect(await left(app, 'hand')).toBe(93);
  });

  it('starts a block only once settled units have used up the limit', async () => {
    const app = await start(limited([ModelController]));
    await app.get('/blocked?used=0');
    await app.get('/blocked?used=2');
    expect((await app.get('/blocked?used=8')).status).toBe(200);
    expect(await app.statuses(1, '/blocked')).toEqual([429]);
    expect((await peek(app, 'blocked')).retryAfter).toBeGreaterThan(60_000);
  });

  it('excludes the option "count"', async () => {
    @Controller()
    class BothController {
      @Get()
      @RateLimit('5/minute', { count: 'failure', actualCost: () => 1 })
      both() {
        return '';
      }
    }
    const error: unknown = await start(limited([BothController])).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ConfigurationError);
    expect(String(error)).toContain(
      'BothController.both: A rate limit takes "count" or "actualCost", not both: a request that does not count has the actual cost 0.',
    );
  });
});
