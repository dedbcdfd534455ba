import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Controller, Get, HttpCode, Post } from '@nestjs/common';
import autocannon from 'autocannon';
import {
  createLimit,
  FixedWindowRateLimiter,
  MemoryStorage,
  RateLimit,
  RateLimiterService,
  RateLimitModule,
  SkipRateLimit,
  type RateLimitModuleOptions,
} from 'nestjs-limits';
import { RateLimitMetrics, RateLimitMetricsModule } from 'nestjs-limits/opentelemetry';
import { readFile } from 'node:fs/promises';
import { describeOverHttp, limited, type HttpApp } from '../support/http-app.js';
import { MapCasServer, MapCasStorage } from '../support/map-cas.storage.js';
import { Prometheus } from '../support/prometheus.js';
import { until } from '../support/servers/server-process.js';

const DECISIONS = 'nestjs_limits_decisions_total';
/** Has no sample and no description until a request waits. */
const WAITING = 'nestjs_limits_waiting';
const UNITS = 'nestjs_limits_units_total';

let prometheus: Prometheus;
/** Lets the handler of `/slow` end. */
let finish: () => void;

beforeEach(async () => {
  prometheus = await Prometheus.start();
});

afterEach(() => prometheus.close());

@Controller()
class ShopController {
  @Get()
  @RateLimit('6000/hour', { name: 'shop' })
  @RateLimit('2500/hour', { name: 'trial', mode: 'shadow' })
  shop() {
    return '';
  }

  @Get('slow')
  @RateLimit('5 concurrent', { name: 'slow' })
  slow() {
    return new Promise<string>((resolve) => {
      finish = () => resolve('');
    });
  }

  @Post('login')
  @HttpCode(200)
  @RateLimit('10/minute', { name: 'login', count: (_context, { success }) => !success })
  login() {
    return '';
  }

  @Post('complete')
  @HttpCode(200)
  @RateLimit('1000/minute', { name: 'tokens', cost: 10, actualCost: () => 25 })
  complete() {
    return '';
  }

  @Get('health')
  @SkipRateLimit()
  health() {
    return '';
  }
}

function measured(options: RateLimitModuleOptions = {}) {
  const metadata = limited([ShopController], options);
  return { ...metadata, imports: [...(metadata.imports ?? []), RateLimitMetricsModule] };
}

/** Sends requests over several connections. Returns the number of answers by status. */
async function load(app: HttpApp, amount: number): Promise<Record<string, number>> {
  const url = `${await app.nest.getUrl()}/`;
  const { statusCodeStats } = await autocannon({ url, amount, connections: 20, timeout: 100 });
  return Object.fromEntries(Object.entries(statusCodeStats).map(([status, { count }]) => [status, count]));
}

describeOverHttp('Metrics', (start) => {
  it('equal the requests by policy and outcome, after 10,000 of them', async () => {
    const app = await start(measured());
    expect(await load(app, 10_000)).toEqual({ '200': 6000, '429': 4000 });
    const samples = await prometheus.scrape();
    const decisions = samples.filter(({ name }) => name === DECISIONS);
    const common = { strategy: 'fixed-window', degraded: 'none', otel_scope_name: 'nestjs-limits' };
    const trial = { ...common, policy: 'trial', limit: 'trial' };
    const shop = { ...common, policy: 'shop', limit: 'shop' };
    expect(decisions.map(({ labels, value }) => [labels, value])).toEqual(
      expect.arrayContaining([
        [{ ...shop, outcome: 'allowed' }, 6000],
        [{ ...shop, outcome: 'refused' }, 4000],
        [{ ...trial, outcome: 'allowed' }, 2500],
        [{ ...trial, outcome: 'would_refuse' }, 7500],
      ]),
    );
    expect(decisions).toHaveLength(4);
    expect(await prometheus.sum(UNITS, { policy: 'shop', kind: 'taken' })).toBe(6000);
    expect(await prometheus.sum('nestjs_limits_memory_cells', { policy: 'shop' })).toBe(1);
    expect(await prometheus.sum('nestjs_limits_store_circuit')).toBe(0);
  }, 120_000);

  it('equal the requests while the store is down, by how they were decided', async () => {
    const server = new MapCasServer();
    const storage = new MapCasStorage(server);
    storage.check = async () => false;
    const app = await start(measured({ storage, resilience: { failureThreshold: 1 } }));
    server.interfere = () => {
      throw new Error('no power');
    };
    await app.statuses(10, '/');
    expect(await prometheus.sum(DECISIONS, { policy: 'shop', degraded: 'fallback' })).toBe(10);
    expect(await prometheus.sum(DECISIONS, { policy: 'shop', degraded: 'none' })).toBeUndefined();
    expect(await prometheus.sum('nestjs_limits_store_circuit')).toBe(1);
    expect(await prometheus.sum('nestjs_limits_memory_cells', { policy: 'shop' })).toBe(1);
    expect(
      await prometheus.sum('nestjs_limits_store_duration_count', { operation: 'consume', result: 'error' }),
    ).toBe(1);
  });

  it('count hits that are let through without the store, which take nothing', async () => {
    const server = new MapCasServer();
    const app = await start(
      measured({ storage: new MapCasStorage(server), resilience: { onError: 'allow', timeout: 20 } }),
    );
    server.interfere = () => new Promise<void>(() => {});
    await app.statuses(2, '/');
    expect(await prometheus.sum(DECISIONS, { policy: 'shop', outcome: 'allowed', degraded: 'allow' })).toBe(
      2,
    );
    expect(await prometheus.sum(UNITS, { policy: 'shop' })).toBeUndefined();
    expect(
      await prometheus.sum('nestjs_limits_store_duration_count', { operation: 'consume', result: 'timeout' }),
    ).toBe(2);
  });

  it('count the units that are returned, and those charged above the reservation', async () => {
    const app = await start(measured());
    for (let request = 0; request < 3; request++) await app.post('/login');
    for (let request = 0; request < 4; request++) await app.post('/complete');
    await until(
      async () => (await prometheus.sum(UNITS, { policy: 'tokens', kind: 'overrun' })) === 60,
      'the settlements',
    );
    expect(await prometheus.sum(UNITS, { policy: 'tokens', kind: 'taken' })).toBe(40);
    expect(await prometheus.sum(UNITS, { policy: 'login', kind: 'taken' })).toBe(3);
    expect(await prometheus.sum(UNITS, { policy: 'login', kind: 'returned' })).toBe(3);
  });

  it('show the slots that are held, and 0 once they are released', async () => {
    const app = await start(measured());
    expect(await prometheus.sum('nestjs_limits_slots', { policy: 'slow' })).toBeUndefined();
    finish = () => undefined;
    const before = finish;
    const answer = app.get('/slow');
    await until(() => finish !== before, 'the handler');
    expect(await prometheus.sum('nestjs_limits_slots', { policy: 'slow' })).toBe(1);
    finish();
    await answer;
    await until(
      async () => (await prometheus.sum('nestjs_limits_slots', { policy: 'slow' })) === 0,
      'the release',
    );
  });

  it('contain no identity, of requests, keys or limits by hand', async () => {
    const app = await start(measured());
    await app.statuses(1, '/');
    await app.nest.get(RateLimiterService).hit('10/minute', 'mails', 'ada@example.com');
    const storage = new RateLimitMetrics().observe(new MemoryStorage());
    await storage.incr('ada@example.com/key', 60);
    const text = await prometheus.text();
    expect(text).toContain('policy="items",limit="10 per 1 minute"');
    expect(text).toContain('policy="key",limit="key"');
    expect(text).not.toContain('ada@example.com');
    expect(text).not.toContain('127.0.0.1');
  });

  it('do not count requests that no limit counts', async () => {
    const app = await start(measured());
    await app.statuses(3, '/health');
    expect((await prometheus.scrape()).filter(({ name }) => name === DECISIONS)).toEqual([]);
  });
});

describe('The queries of the documentation', () => {
  it.each(['docs/metrics.md', 'docs/grafana-dashboard.json'])(
    'use only names that exist: %s',
    async (file) => {
      for (const store of [new MapCasStorage(new MapCasServer()), new MemoryStorage()]) {
        const limiter = new FixedWindowRateLimiter(new RateLimitMetrics().observe(store));
        await limiter.acquire('5 concurrent; 9/minute', ['exports']);
      }
      const described = [...(await prometheus.text()).matchAll(/^# TYPE (nestjs_limits_\w+) (\w+)$/gm)];
      const names = described.flatMap(([, name = '', type]) =>
        type === 'histogram' ? [`${name}_bucket`, `${name}_count`, `${name}_sum`] : [name],
      );
      const used = new Set((await readFile(file, 'utf8')).match(/nestjs_limits_\w+(?=[{[)\s,"])/g));
      expect([...used].filter((name) => !names.includes(name) && name !== WAITING)).toEqual([]);
      expect(used.size).toBeGreaterThan(2);
    },
  );

  it('have labels that exist, in the dashboard', async () => {
    const text = await readFile('docs/grafana-dashboard.json', 'utf8');
    const labels = [...text.matchAll(/(\w+)(?:=~|!=|=)\\"/g), ...text.matchAll(/\{\{(\w+)\}\}/g)].map(
      ([, name]) => name,
    );
    expect([...new Set(labels)].sort()).toEqual([
      'degraded',
      'kind',
      'operation',
      'outcome',
      'policy',
      'result',
    ]);
  });
});

describe('RateLimitMetricsModule', () => {
  it('stops the start of an application that has no RateLimitModule', async () => {
    const { NestFactory } = await import('@nestjs/core');
    const context = NestFactory.createApplicationContext(RateLimitMetricsModule, {
      logger: false,
      abortOnError: false,
    });
    await expect(context).rejects.toThrow(
      'RateLimitMetricsModule needs RateLimitModule, which this application does not import. Add RateLimitModule.forRoot() to its imports.',
    );
  });

  it('finds a RateLimitModule that is not global', async () => {
    const { NestFactory } = await import('@nestjs/core');
    const module = {
      module: class AppModule {},
      imports: [RateLimitModule.forRoot({ isGlobal: false }), RateLimitMetricsModule],
    };
    const app = await NestFactory.createApplicationContext(module, { logger: false });
    await app.get(RateLimiterService, { strict: false }).hit('10/minute', 'mails');
    expect(await prometheus.sum(DECISIONS, { policy: 'items' })).toBe(1);
    await app.close();
  });
});

describe('Metrics without Nest', () => {
  it('count the hits of limiters, those of several storages together', async () => {
    for (const storage of [new MemoryStorage(), new MapCasStorage(new MapCasServer())]) {
      const limiter = new FixedWindowRateLimiter(new RateLimitMetrics(prometheus.provider).observe(storage));
      for (let hit = 0; hit < 3; hit++) await limiter.hit('2/minute', 'mails');
      const decision = await limiter.consume('10/hour', ['mails'], { cost: 4 });
      await limiter.refund(decision);
    }
    const items = { policy: 'items', limit: '2 per 1 minute' };
    expect(await prometheus.sum(DECISIONS, { ...items, outcome: 'allowed' })).toBe(4);
    expect(await prometheus.sum(DECISIONS, { ...items, outcome: 'refused' })).toBe(2);
    expect(await prometheus.sum(UNITS, { limit: '10 per 1 hour', kind: 'returned' })).toBe(8);
    const calls = { operation: 'consume', result: 'ok' };
    expect(await prometheus.sum('nestjs_limits_store_duration_count', calls)).toBe(4);
  });

  it('count the limits beyond 1,000 together', async () => {
    const storage = new RateLimitMetrics().observe(new MemoryStorage());
    for (let number = 0; number < 1010; number++) {
      const id = `limit-${number}`;
      const limit = createLimit({ id, strategy: 'fixed-window', amount: 1, period: 60_000 });
      await storage.consume([{ identity: 'a', limit, cost: 1 }]);
    }
    const decisions = (await prometheus.scrape()).filter(({ name }) => name === DECISIONS);
    expect(decisions).toHaveLength(1001);
    expect(await prometheus.sum(DECISIONS, { policy: 'other', limit: 'other' })).toBe(10);
  });
});
