import { afterEach, expect, it } from '@jest/globals';
import {
  Controller,
  Get,
  HttpCode,
  Inject,
  Post,
  Put,
  Req,
  Res,
  UseGuards,
  type ExecutionContext,
} from '@nestjs/common';
import {
  firstOf,
  RateLimiterService,
  RateLimitGuard,
  SkipRateLimit,
  type RateLimitModuleOptions,
} from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { Gate } from '../../support/gate.js';
import {
  authenticatedRequest,
  HeaderUserGuard,
  numberIn,
  type AuthenticatedRequest,
} from '../../support/header-user.js';
import { describeOverHttp, limited, type HttpApp, type StartHttpApp } from '../../support/http-app.js';
import { until } from '../../support/http-exchange.js';

/**
 * GitHub's REST API: 60 requests an hour by address, 5,000 by user, 15,000 by the app of an enterprise; 100 concurrent requests; per
 * minute 900 points for each endpoint, 80 requests that create content (500 an hour), and 90 s of CPU. Answers of status 304 do not
 * count.
 */

const gate = new Gate();
afterEach(() => gate.open());

const key = firstOf('user', 'ip');
const CREATES = ['POST', 'PUT', 'PATCH', 'DELETE'];

function pointsOf(context: ExecutionContext): number {
  return CREATES.includes(authenticatedRequest(context).method) ? 5 : 1;
}

const options: RateLimitModuleOptions = {
  key,
  plan: (context) =>
    authenticatedRequest(context).user?.plan ?? (authenticatedRequest(context).user && 'user'),
  limits: [
    {
      name: 'primary',
      limits: '60/hour',
      plans: { user: '5000/hour', app: '15000/hour' },
      phase: 'afterAuth',
      count: (_context, { statusCode }) => statusCode !== 304,
    },
    { name: 'points', limits: '900/minute', scope: 'route', cost: pointsOf, phase: 'afterAuth' },
    {
      name: 'cpu',
      limits: '90000/minute',
      phase: 'afterAuth',
      actualCost: (context) => numberIn(context, 'x-cpu-ms'),
    },
    { name: 'concurrent', limits: '100 concurrent', phase: 'afterAuth' },
  ],
  rules: [
    { id: 'content', method: 'POST', path: '/**', limits: ['80/minute', '500/hour'], phase: 'afterAuth' },
  ],
};

@Controller()
@UseGuards(HeaderUserGuard, RateLimitGuard)
class GitHubController {
  constructor(@Inject(RateLimiterService) private readonly limiter: RateLimiterService) {}

  @Get('repos')
  repos(
    @Req() { headers }: AuthenticatedRequest,
    @Res({ passthrough: true }) response: { status(code: number): unknown },
  ) {
    if (headers['if-none-match'] !== undefined) response.status(304);
    return '';
  }

  @Post('issues')
  @HttpCode(201)
  open() {
    return '';
  }

  @Put('labels')
  label() {
    return '';
  }

  @Get('search')
  async search() {
    await gate.pass();
    return '';
  }

  @Get('rate_limit')
  @SkipRateLimit()
  async rateLimit(@Req() { user }: AuthenticatedRequest) {
    const reference = { policy: 'primary', as: 'user', plan: 'user', route: 'GET /repos' } as const;
    const { remaining } = await this.limiter.peek(reference, user?.id ?? '');
    return { limit: 5000, remaining };
  }
}

interface GitHub {
  readonly app: HttpApp;
  readonly clock: ManualClock;
  readonly service: RateLimiterService;
}

async function open(start: StartHttpApp): Promise<GitHub> {
  const clock = new ManualClock();
  const app = await start(limited([GitHubController], options, clock));
  return { app, clock, service: app.nest.get(RateLimiterService) };
}

const ann = { 'x-user': 'ann' };

describeOverHttp('The limits of GitHub', (start) => {
  it('admit 60 requests an hour by address, 5,000 by user, and 15,000 by the app of an enterprise', async () => {
    const { app, service, clock } = await open(start);
    const statuses = await app.statuses(61, '/repos');
    expect(statuses.filter((status) => status === 200)).toHaveLength(60);
    const refused = await app.get('/repos');
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '3600']);
    clock.advance(3_600_000 - 1);
    expect((await app.get('/repos')).status).toBe(429);
    clock.advance(1);
    expect((await app.get('/repos')).status).toBe(200);

    for (const [plan, amount] of [
      ['user', 5000],
      ['app', 15_000],
    ] as const) {
      const reference = { policy: 'primary', as: 'user', plan, route: 'GET /repos' } as const;
      await service.consume(reference, [plan], { cost: amount - 1 });
      const headers = { 'x-user': plan, 'x-plan': plan };
      expect(await app.statuses(2, '/repos', headers)).toEqual([200, 429]);
    }
  });

  it('cost 1 point to read and 5 to write, of 900 a minute for each endpoint', async () => {
    const { app, clock } = await open(start);
    for (let put = 0; put < 180; put++) expect((await app.request('PUT', '/labels', ann)).status).toBe(200);
    const refused = await app.request('PUT', '/labels', ann);
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '60']);
    expect(refused.body).toMatchObject({ limit: { name: 'points', amount: 900, period: 60 } });
    expect((await app.get('/repos', ann)).status).toBe(200); // another endpoint
    clock.advance(60_000);
    expect((await app.request('PUT', '/labels', ann)).status).toBe(200);
  });

  it('admit 80 requests a minute that create content, and 500 an hour; a refused one takes nothing else', async () => {
    const { app, clock, service } = await open(start);
    for (let post = 0; post < 80; post++) expect((await app.post('/issues', ann)).status).toBe(201);
    const refused = await app.post('/issues', ann);
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '60']);
    expect(refused.remaining).toContain('"primary";r=4920');
    expect((await app.get('/repos', ann)).remaining).toContain('"primary";r=4919');

    for (let minute = 1; minute <= 6; minute++) {
      clock.advance(60_000);
      for (let post = 0; post < 80; post++) await service.hit({ policy: 'content', as: 'user' }, 'ann');
    }
    clock.advance(60_000);
    const hourly = await app.post('/issues', ann);
    expect(hourly.headers.get('retry-after')).toBe(String(3600 - 7 * 60));
  });

  it('count no answer of status 304', async () => {
    const { app } = await open(start);
    for (let get = 0; get < 70; get++)
      expect((await app.get('/repos', { 'if-none-match': '"x"' })).status).toBe(304);
    expect((await app.get('/repos')).remaining).toContain('"primary";r=59');
  });

  it('refuse once 90 s of CPU were used in a minute', async () => {
    const { app } = await open(start);
    const costly = { ...ann, 'x-cpu-ms': '50000' };
    expect(await app.statuses(2, '/repos', costly)).toEqual([200, 200]);
    const refused = await app.get('/repos', costly);
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '60']);
    expect(refused.body).toMatchObject({ limit: { name: 'cpu' } });
  });

  it('can be looked at without being counted', async () => {
    const { app } = await open(start);
    await app.get('/repos', ann);
    for (let look = 0; look < 3; look++)
      expect((await app.get('/rate_limit', ann)).body).toEqual({ limit: 5000, remaining: 4999 });
  });

  it('admit 100 requests at the same time, whichever they are; one more takes nothing else', async () => {
    const { app } = await open(start);
    const running = Array.from({ length: 100 }, () => app.get('/search', ann));
    await until(() => gate.waiting === 100);
    const refused = await app.get('/repos', ann);
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, null]);
    expect(refused.body).toMatchObject({ limit: { name: 'concurrent', amount: 100, period: null } });
    expect(refused.remaining).toContain('"primary";r=4900');
    expect((await app.get('/repos', { 'x-user': 'bob' })).status).toBe(200);
    gate.open();
    expect(new Set((await Promise.all(running)).map(({ status }) => status))).toEqual(new Set([200]));
    expect((await app.get('/repos', ann)).remaining).toContain('"primary";r=4899');
  });
});
