import { expect, it } from '@jest/globals';
import { Controller, Get, Query, type ModuleMetadata } from '@nestjs/common';
import { HealthCheck, HealthCheckService, HealthIndicatorService, TerminusModule } from '@nestjs/terminus';
import {
  RateLimit,
  RateLimitModule,
  SkipRateLimit,
  type RateLimitModuleExtras,
  type RateLimitModuleOptions,
} from 'nestjs-limits';
import { RedisStorage } from 'nestjs-limits/redis';
import { RateLimitHealthIndicator } from 'nestjs-limits/terminus';
import { describeOverHttp } from '../support/http-app.js';
import { MapCasServer, MapCasStorage } from '../support/map-cas.storage.js';
import { freePort } from '../support/servers/server-process.js';

@Controller()
@SkipRateLimit()
class HealthController {
  constructor(
    private readonly health: HealthCheckService,
    private readonly rateLimit: RateLimitHealthIndicator,
  ) {}

  @Get('health')
  @HealthCheck()
  check(@Query('strict') strict?: string) {
    return this.health.check([
      () =>
        strict === undefined
          ? this.rateLimit.isHealthy()
          : this.rateLimit.isHealthy('limits', { failWhenDegraded: true }),
    ]);
  }
}

@Controller()
class ShopController {
  @Get()
  @RateLimit('2/minute')
  shop() {
    return '';
  }
}

function withHealth(options: RateLimitModuleOptions & RateLimitModuleExtras): ModuleMetadata {
  return {
    imports: [RateLimitModule.forRoot(options), TerminusModule.forRoot({ logger: false })],
    controllers: [HealthController, ShopController],
    providers: [RateLimitHealthIndicator],
  };
}

function checked(status: string, detail: Record<string, unknown>, key = 'rate-limit'): unknown {
  const [info, error] = detail['status'] === 'down' ? [{}, { [key]: detail }] : [{ [key]: detail }, {}];
  return { status, info, error, details: { [key]: detail } };
}

const DEGRADED = { status: 'degraded', degraded: true, onError: 'fallback' };

describeOverHttp('The health check of limits', (start) => {
  it('is up while the store responds', async () => {
    const storage = new MapCasStorage(new MapCasServer());
    const app = await start(withHealth({ storage }));
    const reply = await app.get('/health');
    expect(reply.status).toBe(200);
    expect(reply.body).toEqual(checked('ok', { status: 'up', store: 'MapCasStorage', degraded: false }));
  });

  it('is always up in memory, and needs no global module', async () => {
    const app = await start(withHealth({ isGlobal: false }));
    for (const path of ['/health', '/health?strict']) {
      const reply = await app.get(path);
      expect(reply.status).toBe(200);
      expect(JSON.stringify(reply.body)).toContain('"store":"MemoryStorage","degraded":false');
    }
  });

  it('is degraded, and passes, while the store is down; shows no credentials', async () => {
    // The driver, closed without a connection, waits that long before the process can end.
    const driverOptions = { disconnectTimeout: 1 };
    const storage = new RedisStorage(`redis://:secret@127.0.0.1:${await freePort()}`, driverOptions);
    try {
      const app = await start(withHealth({ storage }));
      const reply = await app.get('/health');
      expect(reply.status).toBe(200);
      expect(reply.body).toEqual(checked('degraded', { ...DEGRADED, store: 'RedisStorage' }));
      expect(await app.statuses(3, '/')).toEqual([200, 200, 429]);
    } finally {
      await storage.close();
    }
  });

  it('fails while the store is down if it has that option', async () => {
    const storage = `memcached://127.0.0.1:${await freePort()}`;
    const app = await start(withHealth({ storage, resilience: { onError: 'allow' } }));
    const reply = await app.get('/health?strict');
    expect(reply.status).toBe(503);
    const detail = { status: 'down', store: 'MemcachedStorage', degraded: true, onError: 'allow' };
    expect(reply.body).toEqual(checked('error', detail, 'limits'));
  });

  it('fails while the store is down and there is no fallback', async () => {
    const storage = new MapCasStorage(new MapCasServer());
    storage.check = async () => {
      throw new Error('a check that breaks its contract');
    };
    const app = await start(withHealth({ storage, resilience: false }));
    const reply = await app.get('/health');
    expect(reply.status).toBe(503);
    expect(reply.body).toEqual(checked('error', { status: 'down', store: 'MapCasStorage', degraded: false }));
  });

  it('is down in time while the store answers checks and never a decision, without a fallback', async () => {
    const server = new MapCasServer();
    const storage = new MapCasStorage(server);
    const app = await start(withHealth({ storage, resilience: false }));
    expect((await app.get('/health')).status).toBe(200);
    Object.assign(storage, { check: () => true, consume: () => new Promise(() => {}) });
    const reply = await app.get('/health');
    expect(reply.status).toBe(503);
    expect(reply.body).toEqual(checked('error', { status: 'down', store: 'MapCasStorage', degraded: false }));
  });

  it('is degraded in time while the store answers checks and never a decision', async () => {
    const storage = new MapCasStorage(new MapCasServer());
    const app = await start(withHealth({ storage, resilience: { timeout: 20 } }));
    Object.assign(storage, { check: () => true, consume: () => new Promise(() => {}) });
    expect((await app.get('/health')).body).toEqual(
      checked('degraded', { ...DEGRADED, store: 'MapCasStorage' }),
    );
  });

  it('leaves nothing in the store', async () => {
    const server = new MapCasServer();
    const app = await start(withHealth({ storage: new MapCasStorage(server) }));
    server.entries.clear(); // of the check at the start
    await app.get('/health');
    expect([...server.entries.keys()].filter((key) => key.includes('health'))).toEqual([]);
  });

  it('ends at the timeout of a decision if the store hangs', async () => {
    const storage = new MapCasStorage(new MapCasServer());
    Object.assign(storage, { check: () => new Promise<boolean>(() => {}) });
    const app = await start(withHealth({ storage, resilience: { timeout: 20 } }));
    expect((await app.get('/health')).body).toEqual(
      checked('degraded', { ...DEGRADED, store: 'MapCasStorage' }),
    );
  });

  it('does not call a store whose circuit is open', async () => {
    const server = new MapCasServer();
    const storage = new MapCasStorage(server);
    let checks = 0;
    const resilience = { failureThreshold: 1, probeInterval: 3_600_000, startWithoutStore: false };
    const app = await start(withHealth({ storage, resilience }));
    storage.check = async () => {
      checks++;
      return false;
    };
    server.interfere = () => {
      throw new Error('connection lost');
    };
    expect(await app.statuses(1, '/')).toEqual([200]);
    expect((await app.get('/health')).body).toEqual(
      checked('degraded', { ...DEGRADED, store: 'MapCasStorage' }),
    );
    expect(checks).toBe(1); // by the circuit breaker, before it opened
  });

  it('reports up to terminus 11, which has no degraded', async () => {
    const app = await start(withHealth({ storage: `memcached://127.0.0.1:${await freePort()}` }), {
      override: (builder) =>
        builder.overrideProvider(HealthIndicatorService).useValue({
          check: (key: string) => ({
            up: (details: object) => ({ [key]: { ...details, status: 'up' } }),
            down: (details: object) => ({ [key]: { ...details, status: 'down' } }),
          }),
        }),
    });
    const reply = await app.get('/health');
    expect(reply.status).toBe(200);
    const detail = { status: 'up', store: 'MemcachedStorage', degraded: true, onError: 'fallback' };
    expect(reply.body).toEqual(checked('ok', detail));
    expect((await app.get('/health?strict')).status).toBe(503);
  });
});
