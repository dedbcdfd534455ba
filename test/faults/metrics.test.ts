import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { Controller, Get } from '@nestjs/common';
import { RateLimit, RateLimitModule } from 'nestjs-limits';
import { RateLimitMetricsModule } from 'nestjs-limits/opentelemetry';
import { describeOverHttp } from '../support/http-app.js';
import { Prometheus } from '../support/prometheus.js';
import { startRedis } from '../support/servers/redis.js';
import { until, type Server } from '../support/servers/server-process.js';

const DECISIONS = 'nestjs_limits_decisions_total';

let server: Server;
let prometheus: Prometheus;

beforeAll(async () => {
  server = await startRedis();
  prometheus = await Prometheus.start();
});

afterAll(async () => {
  await prometheus.close();
  await server.stop();
});

@Controller()
class ShopController {
  @Get()
  @RateLimit('30/hour', { name: 'shop' })
  shop() {
    return '';
  }
}

/** The decisions on the policy so far, by how they were decided. */
async function decisions(): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const { name, labels, value } of await prometheus.scrape())
    if (name === DECISIONS) found[`${labels['outcome']} ${labels['degraded']}`] = value;
  return found;
}

describeOverHttp('Metrics while Redis is stopped', (start, platform) => {
  it('equal the requests, before, during and after the outage', async () => {
    const before = await decisions();
    const app = await start({
      imports: [
        RateLimitModule.forRoot({
          storage: server.uri,
          keyPrefix: platform,
          // Without the cache of refusals, which would answer during the outage.
          resilience: { timeout: 1000, failureThreshold: 1, probeInterval: 20, denialCache: false },
        }),
        RateLimitMetricsModule,
      ],
      controllers: [ShopController],
    });
    const answers = await app.statuses(40, '/');
    await server.kill();
    answers.push(...(await app.statuses(40, '/')));
    await until(
      async () => (await prometheus.sum('nestjs_limits_store_circuit')) === 1,
      'the circuit to open',
    );
    await server.restart();
    await until(
      async () => (await prometheus.sum('nestjs_limits_store_circuit')) === 0,
      'the circuit to close',
    );
    answers.push(...(await app.statuses(5, '/')));
    const counted = await decisions();
    const more = Object.entries(counted).map(([key, value]) => [key, value - (before[key] ?? 0)] as const);
    const sumOf = (outcome: string): number =>
      more.reduce((sum, [key, value]) => (key.startsWith(outcome) ? sum + value : sum), 0);
    expect(sumOf('allowed')).toBe(answers.filter((status) => status === 200).length);
    expect(sumOf('refused')).toBe(answers.filter((status) => status === 429).length);
    expect(Object.fromEntries(more)['allowed fallback']).toBe(30);
    expect(await prometheus.sum('nestjs_limits_store_duration_count', { result: 'ok' })).toBeGreaterThan(0);
  }, 60_000);
});
