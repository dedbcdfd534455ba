import { beforeEach, expect, it } from '@jest/globals';
import { Controller, Get } from '@nestjs/common';
import { RateLimit, RateLimiterService } from 'nestjs-limits';
import { RateLimitConsoleModule } from 'nestjs-limits/console';
import { RateLimitMetricsModule } from 'nestjs-limits/opentelemetry';
import { documentRateLimits } from 'nestjs-limits/swagger';
import { ManualClock } from 'nestjs-limits/testing';
import { ConsoleActions } from '../../../lib/nest/console/console-actions.js';
import { ConsolePolicies } from '../../../lib/nest/console/console-policies.js';
import type { IdentityRequest, IdentityState } from '../../../lib/nest/console/console-messages.js';
import { Gate } from '../../support/gate.js';
import { everybody } from '../../support/held-work.js';
import { describeOverHttp, limited, type HttpApp } from '../../support/http-app.js';
import { until } from '../../support/http-exchange.js';
import { Prometheus } from '../../support/prometheus.js';

/** What the console, metrics and OpenAPI documents tell of slots, waits and calendars. */

const MINUTE = 60_000;
let gate: Gate;
let clock: ManualClock;
beforeEach(() => {
  gate = new Gate();
  clock = new ManualClock(Date.UTC(2026, 0, 31, 23, 59));
});

@Controller()
class ShopController {
  @Get('mixed')
  @RateLimit('3/minute; 2 concurrent', { name: 'mixed', block: '1 hour', ...everybody })
  mixed() {
    return '';
  }

  @Get('billed')
  @RateLimit('3/month', {
    name: 'billed',
    strategy: 'calendar-window',
    anchor: () => '2026-01-15',
    timeZone: () => 'Europe/Berlin',
    ...everybody,
  })
  billed() {
    return '';
  }

  @Get('waiting')
  @RateLimit('2/month; 1 concurrent', {
    name: 'waiting',
    strategy: 'calendar-window',
    wait: '1 hour',
    ...everybody,
  })
  waiting() {
    return gate.pass();
  }
}

describeOverHttp('The console', (start) => {
  async function open(): Promise<HttpApp> {
    const { imports = [], ...metadata } = limited([ShopController], {}, clock);
    return start({ ...metadata, imports: [...imports, RateLimitConsoleModule.forRoot({ open: true })] });
  }

  function act(app: HttpApp, name: string, request: Partial<IdentityRequest>): Promise<IdentityState> {
    const policy = app.nest
      .get(ConsolePolicies, { strict: false })
      .views()
      .find((view) => view.name === name);
    const body = { policy: policy?.id, identity: 'everybody', action: 'look-up', ...request };
    return app.nest.get(ConsoleActions, { strict: false }).perform(body, 'operator');
  }

  it('blocks an identity of a rate beside slots', async () => {
    const app = await open();
    const { allowed, limits } = await act(app, 'mixed', { action: 'block', duration: '30 minutes' });
    expect([allowed, limits.map(({ text, blocked }) => [text, blocked])]).toEqual([
      false,
      [
        ['3 per minute', true],
        ['2 at once', false],
      ],
    ]);
    expect((await app.get('/mixed')).headers.get('retry-after')).toBe('1800');
    await act(app, 'mixed', { action: 'unblock' });
    expect((await app.get('/mixed')).status).toBe(200);
  });

  it('takes the position of calendar windows that functions find', async () => {
    const app = await open();
    await app.get('/billed');
    const view = app.nest
      .get(ConsolePolicies, { strict: false })
      .views()
      .find(({ name }) => name === 'billed');
    expect(view?.needsPosition).toEqual(['timeZone', 'anchor']);
    const position = { timeZone: 'Europe/Berlin', anchor: '2026-01-15' };
    expect(await act(app, 'billed', position)).toMatchObject({
      limits: [{ text: '3 per month', remaining: 2, resetTime: Date.parse('2026-02-14T23:00Z') }],
    });
    expect(await act(app, 'billed', { action: 'clear', ...position })).toMatchObject({
      limits: [{ remaining: 3 }],
    });
    await expect(act(app, 'billed', { timeZone: 'Europe/Berlin' })).rejects.toThrow('finds its anchor out');
    await expect(act(app, 'billed', { ...position, timeZone: 'Mars' })).rejects.toThrow('Mars');
    await expect(act(app, 'mixed', position)).rejects.toThrow('has no calendar windows');
  });
});

describeOverHttp('Metrics', (start) => {
  it('count a request that waits for a slot once, and tell its units of the calendar window', async () => {
    const prometheus = await Prometheus.start();
    try {
      const { imports = [], ...metadata } = limited([ShopController], {}, clock);
      const app = await start({ ...metadata, imports: [...imports, RateLimitMetricsModule] });
      const gauges = async (): Promise<(number | undefined)[]> => [
        await prometheus.sum('nestjs_limits_slots', { policy: 'waiting' }),
        await prometheus.sum('nestjs_limits_waiting', { policy: 'waiting' }),
      ];
      const sent = [app.get('/waiting')];
      await until(() => gate.waiting === 1);
      sent.push(app.get('/waiting'));
      while ((await gauges()).join() !== '1,1');
      gate.open();
      await until(() => gate.entered === 2);
      while ((await gauges()).join() !== '1,0');
      gate.open();
      expect((await Promise.all(sent)).map(({ status }) => status)).toEqual([200, 200]);
      while ((await gauges()).join() !== '0,0');
      const third = app.get('/waiting');
      while ((await gauges()).join() !== '0,1');
      clock.advance(MINUTE);
      await until(() => gate.entered === 3);
      gate.open();
      expect((await third).status).toBe(200);
      const decisions = 'nestjs_limits_decisions_total';
      const strategies = ['calendar-window', 'concurrency'];
      const counted = strategies.flatMap((strategy) =>
        ['allowed', 'refused'].map((outcome) => prometheus.sum(decisions, { strategy, outcome })),
      );
      expect(await Promise.all(counted)).toEqual([3, undefined, 3, undefined]);
    } finally {
      await prometheus.close();
    }
  });
});

describeOverHttp('An OpenAPI document', (start) => {
  it('has calendar windows and slots of one policy, waits or not, and those that setRules brings', async () => {
    const app = await start(limited([ShopController], {}, clock));
    const rule = { id: 'late', path: '/mixed', limits: '9/day', continue: true };
    await app.nest.get(RateLimiterService).setRules([rule]);
    const paths = { '/waiting': { get: {} }, '/mixed': { get: {} }, '/billed': { get: {} } };
    const document = await documentRateLimits(app.nest, { openapi: '3.1.0', paths });
    const described = Object.values(document.paths).map(
      ({
        get,
      }: {
        get: { 'x-rate-limit'?: { limits: { description: string; period: number | null }[] }[] };
      }) =>
        get['x-rate-limit']?.flatMap(({ limits }) =>
          limits.map(({ description, period }) => [description, period]),
        ),
    );
    expect(described).toEqual([
      [
        ['2 per month', 2_592_000],
        ['1 at once', null],
      ],
      [
        ['3 per minute', 60],
        ['2 at once', null],
        ['9 per day', 86_400],
      ],
      [['3 per month', 2_592_000]],
    ]);
  });
});
