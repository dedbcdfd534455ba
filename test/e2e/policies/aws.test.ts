import { expect, it } from '@jest/globals';
import { Controller, Get } from '@nestjs/common';
import { RateLimiterService, type RateLimitModuleOptions } from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { describeOverHttp, limited, type HttpApp, type StartHttpApp } from '../../support/http-app.js';

/**
 * A usage plan of AWS API Gateway: `rateLimit` 5 per second with `burstLimit` 10, and a quota of 500
 * per MONTH, offset 0, by API key.
 */

const options: RateLimitModuleOptions = {
  key: 'api-key',
  limits: [
    { name: 'throttle', limits: '5/second', strategy: 'token-bucket', burst: 10 },
    { name: 'quota', limits: '500/month', strategy: 'calendar-window', timeZone: 'UTC' },
  ],
};

@Controller()
class PetsController {
  @Get('pets')
  pets() {
    return '';
  }
}

const A_MINUTE_BEFORE_FEBRUARY = Date.UTC(2026, 0, 31, 23, 59);
const customer = { 'x-api-key': 'customer' };

interface Gateway {
  readonly app: HttpApp;
  readonly clock: ManualClock;
  readonly service: RateLimiterService;
}

async function open(start: StartHttpApp): Promise<Gateway> {
  const clock = new ManualClock(A_MINUTE_BEFORE_FEBRUARY);
  const app = await start(limited([PetsController], options, clock));
  return { app, clock, service: app.nest.get(RateLimiterService) };
}

describeOverHttp('A usage plan of AWS', (start) => {
  it('admits a burst of 10, then 5 a second; a throttled request takes nothing of the quota', async () => {
    const { app, clock, service } = await open(start);
    expect(await app.statuses(11, '/pets', customer)).toEqual([...Array<number>(10).fill(200), 429]);
    expect((await service.peek({ policy: 'throttle' }, 'customer')).retryAfter).toBe(200);
    const refused = await app.get('/pets', customer);
    expect(refused.headers.get('retry-after')).toBe('1');
    expect(refused.remaining).toBe('"throttle";r=0, "quota";r=490');
    clock.advance(199);
    expect((await app.get('/pets', customer)).status).toBe(429);
    clock.advance(1);
    expect(await app.statuses(2, '/pets', customer)).toEqual([200, 429]);
    clock.advance(1000);
    expect(await app.statuses(6, '/pets', customer)).toEqual([...Array<number>(5).fill(200), 429]);
    expect((await app.get('/pets', { 'x-api-key': 'other' })).status).toBe(200);
  });

  it('says 60 s one minute before the month ends, and begins anew with the next', async () => {
    const { app, clock, service } = await open(start);
    await service.consume({ policy: 'quota' }, ['customer'], { cost: 499 });
    expect(await app.statuses(2, '/pets', customer)).toEqual([200, 429]);
    const refused = await app.get('/pets', customer);
    expect(refused.headers.get('retry-after')).toBe('60');
    expect(refused.headers.get('ratelimit')).toBe('"throttle";r=9;t=1, "quota";r=0;t=60');
    expect(refused.headers.get('ratelimit-policy')).toBe('"throttle";q=5;w=1, "quota";q=500;w=2678400');
    clock.advance(59_999);
    expect((await app.get('/pets', customer)).status).toBe(429);
    clock.advance(1);
    const next = await app.get('/pets', customer);
    expect([next.status, next.headers.get('ratelimit-policy')]).toEqual([
      200,
      '"throttle";q=5;w=1, "quota";q=500;w=2419200',
    ]);
    expect(next.remaining).toBe('"throttle";r=9, "quota";r=499');
  });
});
