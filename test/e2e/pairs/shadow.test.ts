import { expect, it } from '@jest/globals';
import { setImmediate as immediate } from 'node:timers/promises';
import { Controller, ForbiddenException, Get } from '@nestjs/common';
import {
  RateLimit,
  RateLimiterService,
  type RateLimitEvent,
  type RateLimitInput,
  type RateLimitOptions,
} from 'nestjs-limits';
import { everybody } from '../../support/held-work.js';
import { describeOverHttp, limited } from '../../support/http-app.js';
import { MapCasServer, MapCasStorage } from '../../support/map-cas.storage.js';

/** Limits in shadow beside other features: they never change the answer, and tell what they would do if they were enforced. */

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

  const fail = (): never => {
    throw new Error('no user');
  };
  const failLater = async (): Promise<never> => {
    await immediate();
    throw new ForbiddenException();
  };

  it.each<[option: string, limits: RateLimitInput, shadow: RateLimitOptions, text: string, all?: object]>([
    ['limits', fail, {}, 'the function "limits" failed: no user'],
    ['limits', () => 'many', {}, 'the function "limits" failed: '],
    ['key', '1/hour', { key: failLater }, 'Forbidden'],
    ['cost', '1/hour', { cost: fail }, 'the function "cost" failed: no user'],
    ['skip', '1/hour', { skip: failLater }, 'Forbidden'],
    [
      'timeZone',
      '1/day',
      { strategy: 'calendar-window', timeZone: fail },
      'the function "timeZone" failed: no user',
    ],
    ['plan', { pro: '1/hour' }, {}, 'the function "plan" failed: no user', { plan: fail }],
  ])(
    'does not fail a request by its function "%s"',
    async (_option, limits, shadow, message, options = {}) => {
      @Controller()
      class ProbeController {
        @Get('alone')
        @RateLimit(limits, { name: 'shadow', mode: 'shadow', ...everybody, ...shadow })
        alone() {
          return '';
        }

        @Get('beside')
        @RateLimit(limits, { name: 'shadow', mode: 'shadow', ...everybody, ...shadow })
        @RateLimit('2/hour', { name: 'enforced', ...everybody })
        beside() {
          return '';
        }
      }
      const app = await start(limited([ProbeController], options));
      expect(await app.statuses(2, '/alone')).toEqual([200, 200]);
      expect(await app.statuses(3, '/beside')).toEqual([200, 200, 429]);
      expect(app.log.errors).toEqual([]);
      const warned = app.log.warnings.map(String).filter((text) => text.includes('shadow mode'));
      expect(warned.map((text) => text.split(': ')[0])).toEqual([
        '@RateLimit on ProbeController.alone',
        '@RateLimit on ProbeController.beside',
      ]);
      for (const text of warned) {
        expect(text).toContain(
          'a function of this limit in shadow mode failed, so the request does not count: ',
        );
        expect(text).toContain(message);
      }
    },
  );
});
