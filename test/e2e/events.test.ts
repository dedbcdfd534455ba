import { expect, it, jest } from '@jest/globals';
import { Controller, Get } from '@nestjs/common';
import { RateLimit, RateLimiterService, type RateLimitEvent } from 'nestjs-limits';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { setTimeout as sleep } from 'node:timers/promises';
import { config } from 'rxjs';
import { describeOverHttp, limited } from '../support/http-app.js';
import { MapCasServer, MapCasStorage } from '../support/map-cas.storage.js';

@Controller()
class ShopController {
  @Get()
  @RateLimit('2/minute')
  shop() {
    return '';
  }
}

describeOverHttp('Events', (start) => {
  it('report each decision, refusals and limits that are nearly used up', async () => {
    const app = await start(limited([ShopController]));
    const service = app.nest.get(RateLimiterService);
    const told: string[] = [];
    const subscription = service.events$.subscribe((event) => {
      if (!('decision' in event)) return;
      const { binding } = event.decision;
      told.push(`${event.type} ${binding.identity} ${binding.limit.name} ${binding.remaining}`);
    });
    await app.statuses(3, '/');
    expect(told).toEqual([
      'decision ip:127.0.0.1 default 1',
      'decision ip:127.0.0.1 default 0',
      'near-limit ip:127.0.0.1 default 0',
      'decision ip:127.0.0.1 default 0',
      'refused ip:127.0.0.1 default 0',
    ]);
    subscription.unsubscribe();
    await app.get('/');
    expect(told).toHaveLength(5);
  });

  it('name the place of each limit', async () => {
    const app = await start(
      limited([ShopController], {
        rules: [{ id: 'all', path: '/**', limits: '9/minute' }],
        limits: [{ name: 'own', limits: '9/hour' }],
      }),
    );
    const places: unknown[] = [];
    app.nest.get(RateLimiterService).events$.subscribe((event) => {
      if (event.type === 'decision') places.push(...event.decision.limits.map(({ limit }) => limit.where));
    });
    await app.get('/');
    expect(places).toEqual(['RateLimitModule', '@RateLimit on ShopController.shop', 'The rule "all"']);
  });

  it('report an error of one kind once per second, however many calls fail', async () => {
    const server = new MapCasServer();
    const resilience = { failureThreshold: 1000, denialCache: false };
    const app = await start(limited([ShopController], { storage: new MapCasStorage(server), resilience }));
    const errors: string[] = [];
    app.nest.get(RateLimiterService).events$.subscribe((event) => {
      if (event.type === 'error') errors.push(event.error.message);
    });
    const fail = (message: string) => (): never => {
      throw new Error(message);
    };
    jest.spyOn(performance, 'now').mockReturnValue(performance.now());
    server.interfere = fail('connection 1 lost');
    await app.statuses(3, '/');
    server.interfere = fail('connection 2 lost');
    await app.statuses(3, '/');
    server.interfere = fail('no memory');
    await app.statuses(3, '/');
    jest.restoreAllMocks();
    expect(errors).toEqual(['MapCasStorage failed: connection 1 lost', 'MapCasStorage failed: no memory']);
  });

  it('also report decisions by hand', async () => {
    const app = await start(limited([ShopController]));
    const service = app.nest.get(RateLimiterService);
    const told: RateLimitEvent['type'][] = [];
    service.events$.subscribe(({ type }) => told.push(type));
    await service.hit('1/minute', 'mails');
    await service.hit('1/minute', 'mails');
    await service.test('1/minute', 'mails');
    expect(told).toEqual(['decision', 'near-limit', 'decision', 'refused']);
  });

  it('are also published on the diagnostics channels of Node', async () => {
    const app = await start(limited([ShopController]));
    const refused: unknown[] = [];
    const listen = (event: unknown): void => void refused.push(event);
    subscribe('nestjs-limits:refused', listen);
    try {
      await app.statuses(3, '/');
    } finally {
      unsubscribe('nestjs-limits:refused', listen);
    }
    await app.get('/');
    expect(refused).toEqual([
      { type: 'refused', decision: expect.objectContaining({ allowed: false, remaining: 0 }) },
    ]);
  });

  it('report a call that times out', async () => {
    const server = new MapCasServer();
    const app = await start(
      limited([ShopController], { storage: new MapCasStorage(server), resilience: { timeout: 20 } }),
    );
    const errors: string[] = [];
    app.nest.get(RateLimiterService).events$.subscribe((event) => {
      if (event.type === 'error') errors.push(event.error.message);
    });
    server.interfere = () => new Promise<void>(() => {});
    expect(await app.statuses(1, '/')).toEqual([200]);
    expect(errors).toEqual(['MapCasStorage has not answered within 20 ms.']);
  });

  it('do not fail the request when a listener throws', async () => {
    const app = await start(limited([ShopController]));
    const bugs: unknown[] = [];
    config.onUnhandledError = (error) => bugs.push(error);
    try {
      const bug = new Error('a bug of the subscriber');
      app.nest.get(RateLimiterService).events$.subscribe(() => {
        throw bug;
      });
      expect(await app.statuses(1, '/')).toEqual([200]);
      await sleep(0);
      expect(bugs).toEqual([bug]);
    } finally {
      config.onUnhandledError = null;
    }
  });

  it('report when the store is lost and when it recovers', async () => {
    const server = new MapCasServer();
    const storage = new MapCasStorage(server);
    const resilience = { failureThreshold: 2, probeInterval: 10 };
    const app = await start(limited([ShopController], { storage, resilience }));
    const told: string[] = [];
    const back = new Promise<void>((resolve) => {
      app.nest.get(RateLimiterService).events$.subscribe((event) => {
        if (event.type !== 'call')
          told.push('error' in event ? `${event.type}: ${event.error.message}` : event.type);
        if (event.type === 'recovered') resolve();
      });
    });
    storage.check = async () => false;
    server.interfere = () => {
      throw new Error('connection lost');
    };
    await app.get('/');
    await app.get('/');
    storage.check = async () => true;
    server.interfere = () => undefined;
    await back;
    expect(told).toEqual([
      'error: MapCasStorage failed: connection lost',
      'decision',
      'degraded: MapCasStorage failed: connection lost',
      'decision',
      'near-limit',
      'recovered',
    ]);
  });
});
