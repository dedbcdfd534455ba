import { expect, it } from '@jest/globals';
import { Controller, Get } from '@nestjs/common';
import { RateLimit, RateLimiterService, type RateLimitEvent } from 'nestjs-limits';
import { describeOverHttp, limited } from '../../support/http-app.js';
import { MapCasServer, MapCasStorage } from '../../support/map-cas.storage.js';

/** Limits in shadow beside other features: they never change the answer, and tell what they would do if they were enforced. */

const everybody = { key: () => 'everybody' };

@Controller()
class ShopController {
  @Get('shadow')
  @RateLimit('1/hour', { name: 'shadow', mode: 'shadow', onError: 'deny', ...everybody })
  shadow() {
    return '';
  }

  @Get('beside')
  @RateLimit('1/hour', { name: 'shadow', mode: 'shadow', onError: 'deny', ...everybody })
  @RateLimit('1/hour', { name: 'open', onError: 'allow', ...everybody })
  beside() {
    return '';
  }

  @Get('denied')
  @RateLimit('1/hour', { name: 'shadow', mode: 'shadow', onError: 'allow', ...everybody })
  @RateLimit('1/hour', { name: 'closed', onError: 'deny', ...everybody })
  denied() {
    return '';
  }

  @Get('default')
  @RateLimit('1/hour', { name: 'default', mode: 'shadow', ...everybody })
  byDefault() {
    return '';
  }

  @Get('metered')
  @RateLimit('100/hour', { name: 'metered', mode: 'shadow', ...everybody })
  metered() {
    return '';
  }
}

describeOverHttp('A limit in shadow', (start) => {
  it.each([
    ['/shadow', [200, 200], 'fallback'],
    ['/beside', [200, 200], 'allow'],
    ['/denied', [503, 503], undefined],
    ['/default', [200, 200], 'fallback'],
  ])('denies nothing while the store is down: %s', async (path, statuses, degraded) => {
    const server = new MapCasServer();
    const storage = new MapCasStorage(server);
    const resilience = { onError: 'deny', startWithoutStore: false } as const;
    const app = await start(limited([ShopController], { storage, resilience }));
    const modes = new Set<unknown>();
    app.nest.get(RateLimiterService).events$.subscribe((event: RateLimitEvent) => {
      if (event.type === 'decision') modes.add(event.decision.degraded);
    });
    server.interfere = () => {
      throw new Error('connection lost');
    };
    expect(await app.statuses(2, path)).toEqual(statuses);
    expect([...modes]).toEqual(degraded === undefined ? [] : [degraded]);
  });

  it('counts what a meter uses, although its steps are larger', async () => {
    const app = await start(limited([ShopController]));
    const limiter = app.nest.get(RateLimiterService);
    await using meter = await limiter.meter({ policy: 'metered' }, ['everybody'], { step: 1000 });
    for (let units = 0; units < 11; units++) expect(await meter.add(10)).toBe(true);
    expect(meter.decision?.limits[0]).toMatchObject({ allowed: false, remaining: 0 });
    expect((await limiter.peek({ policy: 'metered' }, 'everybody')).remaining).toBe(0);
  });
});
