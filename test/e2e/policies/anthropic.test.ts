import { afterEach, expect, it } from '@jest/globals';
import { Controller, Headers, HttpCode, Post, UseGuards } from '@nestjs/common';
import { RateLimitGuard, RateLimiterService, type RateLimitModuleOptions } from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { Gate } from '../../support/gate.js';
import { HeaderUserGuard, numberIn } from '../../support/header-user.js';
import { describeOverHttp, limited, type HttpApp, type StartHttpApp } from '../../support/http-app.js';
import { until } from '../../support/http-exchange.js';

/**
 * Limits like Anthropic's: 50 requests, 30,000 input tokens (known before) and 8,000 output tokens (known afterwards) per minute, as
 * buckets that refill continuously; and 4 concurrent streams.
 */

const gate = new Gate();
afterEach(() => gate.open());

const common = { strategy: 'token-bucket', phase: 'afterAuth' } as const;

const options: RateLimitModuleOptions = {
  key: 'user',
  limits: [
    { name: 'requests', limits: '50/minute', ...common },
    { name: 'input', limits: '30000/minute', cost: (context) => numberIn(context, 'x-input'), ...common },
    {
      name: 'output',
      limits: '8000/minute',
      actualCost: (context) => numberIn(context, 'x-output'),
      ...common,
    },
    { name: 'streams', limits: '4 concurrent', phase: 'afterAuth' },
  ],
};

@Controller()
@UseGuards(HeaderUserGuard, RateLimitGuard)
class MessagesController {
  @Post('messages')
  @HttpCode(200)
  async create(@Headers('x-stream') isStream?: string) {
    if (isStream !== undefined) await gate.pass();
    return '';
  }
}

interface Messages {
  readonly app: HttpApp;
  readonly clock: ManualClock;
  readonly service: RateLimiterService;
}

async function open(start: StartHttpApp): Promise<Messages> {
  const clock = new ManualClock();
  const app = await start(limited([MessagesController], options, clock));
  return { app, clock, service: app.nest.get(RateLimiterService) };
}

const message = (input = 0, output = 0): Record<string, string> => ({
  'x-user': 'acme',
  'x-input': String(input),
  'x-output': String(output),
});

describeOverHttp('Limits like those of Anthropic', (start) => {
  it('admit 50 requests at once, then one every 1.2 s', async () => {
    const { app, clock, service } = await open(start);
    for (let request = 0; request < 50; request++)
      expect((await app.post('/messages', message())).status).toBe(200);
    const refused = await app.post('/messages', message());
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '2']);
    expect((await service.peek({ policy: 'requests' }, 'acme')).retryAfter).toBe(1200);
    clock.advance(1199);
    expect((await app.post('/messages', message())).status).toBe(429);
    clock.advance(1);
    expect((await app.post('/messages', message())).status).toBe(200);
  });

  it('refuse input that does not fit, for the time that its tokens take to refill, and take nothing else', async () => {
    const { app, clock } = await open(start);
    expect((await app.post('/messages', message(25_000))).remaining).toBe(
      '"requests";r=49, "input";r=5000, "output";r=7999, "streams";r=3',
    );
    const refused = await app.post('/messages', message(10_000));
    expect([refused.headers.get('retry-after'), refused.remaining]).toEqual([
      '10', // 5,000 tokens at 500 a second
      '"requests";r=49, "input";r=5000, "output";r=8000, "streams";r=4',
    ]);
    clock.advance(10_000);
    expect((await app.post('/messages', message(10_000))).status).toBe(200);
  });

  it('charge output once it is known, and refuse while it is in debt', async () => {
    const { app, clock } = await open(start);
    expect((await app.post('/messages', message(0, 10_000))).status).toBe(200);
    const refused = await app.post('/messages', message());
    expect(refused.body).toMatchObject({ limit: { name: 'output' } });
    expect(refused.headers.get('retry-after')).toBe('16'); // 2,001 tokens at 133⅓ a second: 15,007.5 ms
    clock.advance(15_007);
    expect((await app.post('/messages', message())).status).toBe(429);
    clock.advance(1);
    expect((await app.post('/messages', message())).status).toBe(200);
  });

  it('end metered streams when the output of a minute is used up, and let them go on as it refills', async () => {
    const { clock, service } = await open(start);
    await using meter = await service.meter({ policy: 'output' }, ['acme'], { step: 200 });
    let tokens = 0;
    while (await meter.add(4)) tokens += 4;
    expect(tokens).toBe(8000);
    expect(meter.decision?.retryAfter).toBe(30);
    clock.advance(3000);
    while (await meter.add(4)) tokens += 4;
    expect(tokens).toBe(8400);
  });

  it('admit 4 streams at once; a fifth takes nothing of the tokens, whose debt refuses it too', async () => {
    const { app, clock } = await open(start);
    const stream = (output: number) => app.post('/messages', { ...message(100, output), 'x-stream': '1' });
    const running = [1, 2, 3, 4].map(() => stream(2500));
    await until(() => gate.waiting === 4);
    const refused = await app.post('/messages', message(100));
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, null]);
    expect(refused.body).toMatchObject({ limit: { name: 'streams', amount: 4, period: null } });
    expect(refused.remaining).toBe('"requests";r=46, "input";r=29600, "output";r=7996, "streams";r=0');
    gate.open();
    expect((await Promise.all(running)).map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    const inDebt = await app.post('/messages', message(100));
    expect(inDebt.body).toMatchObject({ limit: { name: 'output' }, retryAfter: 16 }); // 2,001 at 133⅓ a second
    clock.advance(16_000);
    expect((await app.post('/messages', message(100))).status).toBe(200);
  });
});
