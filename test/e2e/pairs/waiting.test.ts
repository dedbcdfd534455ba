import { setImmediate as immediate } from 'node:timers/promises';
import { beforeEach, expect, it } from '@jest/globals';
import { Controller, Get } from '@nestjs/common';
import {
  applyRateLimits,
  RateLimit,
  RateLimiterService,
  type RateLimitEvent,
  type RateLimitModuleOptions,
  type RateLimitRule,
} from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { queueOf } from '../../../lib/limiter/fair-queue.js';
import { DECIDING_STORAGE } from '../../../lib/nest/options/rate-limit.tokens.js';
import type { Storage } from '../../../lib/core/storage.js';
import { Gate } from '../../support/gate.js';
import { everybody } from '../../support/held-work.js';
import { describeOverHttp, limited, type HttpApp, type HttpReply } from '../../support/http-app.js';
import { until } from '../../support/http-exchange.js';
import { MapCasServer, MapCasStorage } from '../../support/map-cas.storage.js';

/** Waits beside other features. */

const MINUTE = 60_000;
let gate: Gate;
let clock: ManualClock;
beforeEach(() => {
  gate = new Gate();
  clock = new ManualClock();
});

@Controller()
class WaitingController {
  @Get('one')
  @RateLimit('2/minute', { name: 'shared', scope: 'shared', wait: '1 hour', ...everybody })
  one() {
    return '';
  }

  @Get('three')
  @RateLimit('2/minute', { name: 'shared', scope: 'shared', wait: '1 hour', cost: 3, ...everybody })
  three() {
    return '';
  }

  @Get('rate')
  @RateLimit('1/minute', { name: 'rate', wait: '1 hour', ...everybody })
  rate() {
    return '';
  }

  @Get('month')
  @RateLimit('1/month', { name: 'month', strategy: 'calendar-window', wait: '1 hour', ...everybody })
  month() {
    return '';
  }

  @Get('charged')
  @RateLimit('10/minute; 1 concurrent', {
    name: 'charged',
    wait: '1 hour',
    actualCost: () => 4,
    ...everybody,
  })
  charged() {
    return gate.pass();
  }

  @Get('ruled')
  ruled() {
    return '';
  }
}

/** Sends a request and waits until it waits. */
async function sendWaiting(
  app: HttpApp,
  path: string,
  policy = path.slice(1),
): Promise<Promise<HttpReply>[]> {
  const queue = queueOf(app.nest.get<Storage>(DECIDING_STORAGE));
  const before = queue.waiting().get(policy) ?? 0;
  const sent = app.get(path);
  await until(() => queue.waiting().get(policy) === before + 1);
  return [sent]; // in a list, since an async function would wait for it
}

describeOverHttp('A request that waits', (start) => {
  const open = (options: RateLimitModuleOptions = {}): Promise<HttpApp> =>
    start(limited([WaitingController], options, clock), { configure: (app) => applyRateLimits(app) });

  it('does not wait behind others if its cost is above the limit', async () => {
    const app = await open();
    await app.statuses(2, '/one');
    const [first] = await sendWaiting(app, '/one', 'shared');
    const refused = await app.get('/three');
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, null]);
    expect(refused.body).toMatchObject({ retryAfter: null });
    clock.advance(MINUTE);
    expect((await first)?.status).toBe(200);
  });

  it('is answered after all counts are removed', async () => {
    const app = await open();
    await app.get('/rate');
    const [sent] = await sendWaiting(app, '/rate');
    await app.nest.get(RateLimiterService).storage.reset();
    expect((await sent)?.status).toBe(200);
  });

  it('keeps its rule, also in the guard after the middleware, while rules are replaced', async () => {
    const rule: RateLimitRule = {
      id: 'ruled',
      path: '/ruled',
      limits: '1/minute',
      wait: '1 hour',
      ...everybody,
    };
    const app = await open({ rules: [rule] });
    const limiter = app.nest.get(RateLimiterService);
    const decided: number[] = [];
    limiter.events$.subscribe((event: RateLimitEvent) => {
      if (event.type === 'decision') decided.push(event.decision.binding.limit.amount);
    });
    await app.get('/ruled');
    const [sent] = await sendWaiting(app, '/ruled');
    await limiter.setRules([]);
    expect((await app.get('/ruled')).remaining).toBeNull();
    await limiter.setRules([{ ...rule, limits: '3/minute', wait: false }]);
    expect((await app.get('/ruled')).remaining).toBe('"ruled";r=1');
    clock.advance(MINUTE);
    expect((await sent)?.remaining).toBe('"ruled";r=0');
    expect(decided).toEqual([1, 3, 1]);
  });

  it('is answered, although its network is denied meanwhile', async () => {
    const app = await open({ deny: [] });
    const limiter = app.nest.get(RateLimiterService);
    await app.get('/rate');
    const [sent] = await sendWaiting(app, '/rate');
    limiter.setNetworks({ allow: ['127.0.0.1'] });
    expect(await app.statuses(2, '/rate')).toEqual([200, 200]);
    limiter.setNetworks({ allow: [], deny: ['127.0.0.1'] });
    expect(await app.statuses(1, '/rate')).toEqual([403]);
    clock.advance(MINUTE);
    expect((await sent)?.status).toBe(200);
  });

  it('for a calendar window is answered when the month begins', async () => {
    clock = new ManualClock(Date.UTC(2026, 0, 31, 23, 59));
    const app = await open();
    await app.get('/month');
    const [sent] = await sendWaiting(app, '/month');
    clock.advance(MINUTE);
    const reply = await sent;
    expect(reply?.fields).toEqual({
      ratelimit: '"month";r=0;t=2419200',
      'ratelimit-policy': '"month";q=1;w=2419200',
    });
  });

  it('for a slot is charged its actual cost once, and releases its slot', async () => {
    const app = await open();
    const limiter = app.nest.get(RateLimiterService);
    const left = async () =>
      (await limiter.peek({ policy: 'charged' }, 'everybody')).limits.map(({ remaining }) => remaining);
    const first = app.get('/charged');
    await until(() => gate.waiting === 1);
    const [second] = await sendWaiting(app, '/charged');
    gate.open();
    expect((await first).status).toBe(200);
    await until(() => gate.entered === 2);
    expect(await left()).toEqual([5, 0]);
    gate.open();
    expect((await second)?.status).toBe(200);
    while ((await left()).join() !== '2,1') await immediate();
  });

  it('is decided in this process when the store goes down, and by the store when it is back', async () => {
    const server = new MapCasServer();
    const storage = new MapCasStorage(server, { clock });
    const app = await open({ storage, resilience: { denialCache: false, failureThreshold: 100 } });
    const degraded: unknown[] = [];
    app.nest.get(RateLimiterService).events$.subscribe((event: RateLimitEvent) => {
      if (event.type === 'decision') degraded.push(event.decision.degraded);
    });
    await app.get('/rate');
    const [first] = await sendWaiting(app, '/rate');
    server.interfere = () => {
      throw new Error('connection lost');
    };
    clock.advance(MINUTE);
    expect((await first)?.status).toBe(200);
    const [second] = await sendWaiting(app, '/rate');
    server.interfere = () => undefined;
    clock.advance(MINUTE);
    expect((await second)?.status).toBe(200);
    expect(degraded).toEqual([undefined, 'fallback', undefined]);
  });
});
