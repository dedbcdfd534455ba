import { expect, it } from '@jest/globals';
import { Controller, HttpCode, Post, UseGuards, type ExecutionContext } from '@nestjs/common';
import { RateLimitGuard, RateLimiterService, type RateLimitModuleOptions } from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { authenticatedRequest, HeaderUserGuard, numberIn } from '../../support/header-user.js';
import { describeOverHttp, limited, type HttpApp, type StartHttpApp } from '../../support/http-app.js';

/**
 * Limits like OpenAI's: requests and tokens per minute and tokens per day, by organisation, family of
 * models and tier; tokens are estimated by `max_tokens` and settled by what was used. Spend, in
 * cents, is limited per month of the calendar.
 */

const TABLE: Record<string, Record<string, { requests: string; perMinute: string; perDay: string }>> = {
  large: {
    tier1: { requests: '500/minute', perMinute: '30000/minute', perDay: '90000/day' },
    tier2: { requests: '5000/minute', perMinute: '450000/minute', perDay: '1350000/day' },
  },
  small: { tier1: { requests: '500/minute', perMinute: '200000/minute', perDay: '2000000/day' } },
};

const modelOf = (context: ExecutionContext): string =>
  authenticatedRequest(context).headers['x-model'] ?? 'large';

function rowOf(context: ExecutionContext): { requests: string; perMinute: string; perDay: string } {
  const row = TABLE[modelOf(context)]?.[authenticatedRequest(context).user?.plan ?? 'tier1'];
  return row ?? { requests: '0/minute', perMinute: '0/minute', perDay: '0/day' };
}

const phase = 'afterAuth' as const;
const tokens = {
  phase,
  cost: (context: ExecutionContext) => numberIn(context, 'x-max-tokens'),
  actualCost: (context: ExecutionContext) => numberIn(context, 'x-used-tokens'),
};

const options: RateLimitModuleOptions = {
  key: ['user', modelOf],
  limits: [
    { name: 'requests', limits: (context) => rowOf(context).requests, strategy: 'token-bucket', phase },
    { name: 'tokens', limits: (context) => rowOf(context).perMinute, strategy: 'token-bucket', ...tokens },
    { name: 'daily', limits: (context) => rowOf(context).perDay, ...tokens },
    {
      name: 'spend',
      limits: '10000/month',
      strategy: 'calendar-window',
      key: 'user',
      phase,
      actualCost: (context) => numberIn(context, 'x-cents'),
    },
  ],
};

@Controller()
@UseGuards(HeaderUserGuard, RateLimitGuard)
class CompletionsController {
  @Post('completions')
  @HttpCode(200)
  complete() {
    return '';
  }
}

const A_MINUTE_BEFORE_FEBRUARY = Date.UTC(2026, 0, 31, 23, 59);

async function open(start: StartHttpApp): Promise<{ app: HttpApp; clock: ManualClock }> {
  const clock = new ManualClock(A_MINUTE_BEFORE_FEBRUARY);
  return { app: await start(limited([CompletionsController], options, clock)), clock };
}

interface Ask {
  max?: number;
  used?: number;
  model?: string;
  tier?: string;
  cents?: number;
}

function ask({ max = 0, used = 0, model = 'large', tier = 'tier1', cents = 0 }: Ask): Record<string, string> {
  return {
    'x-user': 'acme',
    'x-plan': tier,
    'x-model': model,
    'x-max-tokens': String(max),
    'x-used-tokens': String(used),
    'x-cents': String(cents),
  };
}

describeOverHttp('Limits like those of OpenAI', (start) => {
  it('refuse by the estimate, and count what was used', async () => {
    const { app } = await open(start);
    const complete = (given: Ask) => app.post('/completions', ask(given));
    expect((await complete({ max: 20_000, used: 500 })).remaining).toContain('"tokens";r=10000');
    const next = await complete({ max: 20_000, used: 29_000 });
    expect(next.status).toBe(200);
    expect(next.remaining).toContain('"tokens";r=9500');
    const refused = await complete({ max: 1000 });
    expect([refused.status, refused.remaining]).toEqual([
      429,
      '"requests";r=498, "tokens";r=500, "daily";r=60500, "spend";r=10000',
    ]);
    expect(refused.headers.get('retry-after')).toBe('1'); // 500 tokens more, at 500 a second
    expect((await complete({ max: 30_001 })).headers.get('retry-after')).toBeNull(); // never fits
  });

  it('refuse the next request after an overrun for the true time', async () => {
    const { app, clock } = await open(start);
    const complete = (given: Ask) => app.post('/completions', ask(given));
    expect((await complete({ max: 1000, used: 60_000 })).status).toBe(200);
    expect((await complete({ max: 1 })).headers.get('retry-after')).toBe('61'); // 30,001 of debt, at 500 a second
    clock.advance(60_001);
    expect((await complete({ max: 1 })).status).toBe(429);
    clock.advance(1);
    expect((await complete({ max: 1 })).status).toBe(200);
  });

  it('are apart for each family of models, and higher in a higher tier, which keeps what was used', async () => {
    const { app } = await open(start);
    const complete = (given: Ask) => app.post('/completions', ask(given));
    await complete({ max: 30_000, used: 30_000 });
    expect((await complete({ max: 1 })).status).toBe(429);
    expect((await complete({ max: 1, model: 'small' })).remaining).toContain('"tokens";r=199999');
    const upgraded = await complete({ max: 1, tier: 'tier2' });
    expect(upgraded.remaining).toContain('"tokens";r=419999, "daily";r=1319999');
    expect((await complete({ model: 'none' })).status).toBe(429);
  });

  it('admit 500 requests a minute', async () => {
    const { app, clock } = await open(start);
    const service = app.nest.get(RateLimiterService);
    await service.consume({ policy: 'requests', limits: '500/minute' }, ['acme', 'large'], { cost: 499 });
    expect((await app.post('/completions', ask({}))).status).toBe(200);
    const refused = await app.post('/completions', ask({}));
    expect(refused.body).toMatchObject({ limit: { name: 'requests', amount: 500, period: 60 } });
    clock.advance(120);
    expect((await app.post('/completions', ask({}))).status).toBe(200);
  });

  it('refuse once the spend of the month is used up, until the month ends', async () => {
    const { app, clock } = await open(start);
    expect((await app.post('/completions', ask({ cents: 10_500 }))).status).toBe(200);
    const refused = await app.post('/completions', ask({ model: 'small' }));
    expect(refused.body).toMatchObject({ limit: { name: 'spend', amount: 10_000 } });
    expect(refused.headers.get('retry-after')).toBe('60');
    clock.advance(60_000);
    expect((await app.post('/completions', ask({ cents: 1 }))).status).toBe(200);
  });
});
