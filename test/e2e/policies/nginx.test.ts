import { setImmediate as immediate } from 'node:timers/promises';
import { afterEach, expect, it } from '@jest/globals';
import { Controller, Get } from '@nestjs/common';
import { RateLimit, RateLimiterService, type RateLimitEvent } from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import type { Storage } from '../../../lib/core/storage.js';
import { queueOf } from '../../../lib/limiter/fair-queue.js';
import { DECIDING_STORAGE } from '../../../lib/nest/options/rate-limit.tokens.js';
import { Gate } from '../../support/gate.js';
import { describeOverHttp, limited, type HttpApp, type StartHttpApp } from '../../support/http-app.js';
import { until } from '../../support/http-exchange.js';

/**
 * Limits of nginx by address: `limit_req zone=… burst=10 nodelay` at `rate=5r/s`, which is a bucket of 11, `limit_conn … 3`,
 * `limit_req_dry_run on`, and `limit_req zone=… burst=10` without `nodelay`: a bucket of 1 with a line of 10.
 */

const gate = new Gate();
afterEach(() => gate.open());

const request = { strategy: 'token-bucket', burst: 11 } as const;

@Controller()
class SiteController {
  @Get('search')
  @RateLimit('5/second', { name: 'search', ...request })
  search() {
    return '';
  }

  @Get('download')
  @RateLimit('3 concurrent', { name: 'download' })
  async download() {
    await gate.pass();
    return '';
  }

  @Get('feed')
  @RateLimit('5/second', {
    name: 'feed',
    strategy: 'token-bucket',
    burst: 1,
    wait: { maxWait: '1 minute', maxQueue: 10 },
  })
  feed() {
    return '';
  }

  @Get('login')
  @RateLimit('5/second', { name: 'login', mode: 'shadow', ...request })
  login() {
    return '';
  }
}

async function open(start: StartHttpApp): Promise<{ app: HttpApp; clock: ManualClock }> {
  const clock = new ManualClock();
  return { app: await start(limited([SiteController], {}, clock)), clock };
}

const ok = (count: number): number[] => Array<number>(count).fill(200);

describeOverHttp('The limits of nginx', (start) => {
  it('admit 11 requests at once, then one every 200 ms: limit_req with burst=10 nodelay', async () => {
    const { app, clock } = await open(start);
    expect(await app.statuses(12, '/search')).toEqual([...ok(11), 429]);
    clock.advance(199);
    expect(await app.statuses(1, '/search')).toEqual([429]);
    clock.advance(1);
    expect(await app.statuses(2, '/search')).toEqual([200, 429]);
    clock.advance(2200);
    expect(await app.statuses(12, '/search')).toEqual([...ok(11), 429]);
  });

  it('admit 3 requests that run at the same time, however long they take: limit_conn', async () => {
    const { app, clock } = await open(start);
    const running = [1, 2, 3].map(() => app.get('/download'));
    await until(() => gate.waiting === 3);
    const refused = await app.get('/download');
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, null]);
    expect(refused.body).toMatchObject({ limit: { name: 'download', amount: 3, period: null } });
    clock.advance(29_000);
    expect((await app.get('/download')).status).toBe(429);
    gate.open();
    expect((await Promise.all(running)).map(({ status }) => status)).toEqual(ok(3));
    const next = app.get('/download');
    await until(() => gate.waiting === 1);
    gate.open();
    expect((await next).status).toBe(200);
  });

  it('delay 10 requests, one every 200 ms, and refuse the others: limit_req with burst=10', async () => {
    const { app, clock } = await open(start);
    const begun = clock.now();
    const line = queueOf(app.nest.get<Storage>(DECIDING_STORAGE));
    const waiting = (): number => line.waiting().get('feed') ?? 0;
    const answers: [request: number, status: number, ms: number][] = [];
    const send = async (request: number): Promise<void> => {
      const { status } = await app.get('/feed');
      answers.push([request, status, clock.now() - begun]);
    };
    await send(0);
    const delayed: Promise<void>[] = [];
    for (let request = 1; request <= 10; request++) {
      delayed.push(send(request));
      await until(() => waiting() === request);
    }
    await send(11);
    expect(answers).toEqual([
      [0, 200, 0],
      [11, 429, 0],
    ]);
    for (let request = 1; request <= 10; request++) {
      clock.advance(199);
      await immediate();
      expect(waiting()).toBe(11 - request);
      clock.advance(1);
      await delayed[request - 1];
    }
    expect(answers.slice(2)).toEqual(
      Array.from({ length: 10 }, (_, index) => [index + 1, 200, (index + 1) * 200]),
    );
  });

  it('refuse nothing, and tell what they would refuse: limit_req_dry_run', async () => {
    const { app } = await open(start);
    const verdicts: boolean[] = [];
    app.nest.get(RateLimiterService).events$.subscribe((event: RateLimitEvent) => {
      if (event.type === 'decision') verdicts.push(...event.decision.limits.map(({ allowed }) => allowed));
    });
    expect(await app.statuses(13, '/login')).toEqual(ok(13));
    expect(verdicts).toEqual([...Array<boolean>(11).fill(true), false, false]);
  });
});
