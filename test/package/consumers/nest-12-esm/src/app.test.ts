import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { INestApplication, Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FixedWindowRateLimiter, MemoryStorage, parse } from 'nestjs-limits';
import { describeStorage, ManualClock } from 'nestjs-limits/testing';
import { AppModule } from './app.module.js';
import { ConfiguredAppModule, LimitsConfig } from './configured-app.module.js';
import { HealthModule } from './health.module.js';

async function start(module: Type): Promise<{ app: INestApplication; url: string }> {
  const app = await NestFactory.create(module, { logger: false });
  await app.listen(0, '127.0.0.1');
  return { app, url: await app.getUrl() };
}

async function statuses(url: string, requests: number): Promise<number[]> {
  const seen: number[] = [];
  for (let request = 0; request < requests; request++) seen.push((await fetch(url)).status);
  return seen;
}

describe('RateLimitModule.forRoot', () => {
  let app: INestApplication;
  let url: string;
  before(async () => ({ app, url } = await start(AppModule)));
  after(() => app.close());

  it('allows three requests and refuses the fourth', async () => {
    assert.deepEqual(await statuses(`${url}/greeting`, 3), [200, 200, 200]);

    const refusal = await fetch(`${url}/greeting`);
    assert.equal(refusal.status, 429);
    const seconds = Number(refusal.headers.get('retry-after'));
    assert.ok(seconds > 30 && seconds <= 60, `Retry-After: ${seconds}`);
    assert.equal(refusal.headers.get('ratelimit-policy'), '"default";q=3;w=60');
    assert.equal(refusal.headers.get('ratelimit'), `"default";r=0;t=${seconds}`);
    assert.deepEqual(await refusal.json(), {
      statusCode: 429,
      error: 'Too Many Requests',
      message: `Rate limit "default" exceeded: 3 per minute. Try again in ${seconds} s.`,
      limit: { name: 'default', amount: 3, period: 60, remaining: 0 },
      retryAfter: seconds,
    });
  });

  it('applies a decorator of the CommonJS copy', async () => {
    assert.deepEqual(await statuses(`${url}/decorated-by-the-other-copy`, 2), [200, 429]);
  });

  it('injects RateLimiterService by its type', async () => {
    assert.deepEqual(await (await fetch(`${url}/mail`)).json(), { allowed: true });
    assert.deepEqual(await (await fetch(`${url}/mail`)).json(), { allowed: false });
  });
});

describe('RateLimitModule.forRootAsync', () => {
  it('takes its options from an injected provider', async () => {
    const { app, url } = await start(ConfiguredAppModule);
    try {
      assert.deepEqual(await statuses(`${url}/ping`, 3), [200, 200, 429]);
      app.get(LimitsConfig).clock.advance(60_000);
      assert.deepEqual(await statuses(`${url}/ping`, 1), [200]);
    } finally {
      await app.close();
    }
  });
});

describe('the health check of terminus 12', () => {
  it('is degraded while the store is down, and fails only with that option', async () => {
    const { app, url } = await start(HealthModule);
    try {
      const reply = await fetch(`${url}/health`);
      assert.equal(reply.status, 200);
      const { status, details } = (await reply.json()) as { status: string; details: unknown };
      assert.equal(status, 'degraded');
      assert.deepEqual(details, {
        'rate-limit': { status: 'degraded', store: 'MemcachedStorage', degraded: true, onError: 'fallback' },
      });
      assert.deepEqual(await statuses(`${url}/health/strict`, 1), [503]);
    } finally {
      await app.close();
    }
  });
});

describe('without NestJS', () => {
  it('limits by hand', () => {
    const clock = new ManualClock();
    const limiter = new FixedWindowRateLimiter(new MemoryStorage({ clock }));
    const onePerMinute = parse('1/minute');
    assert.equal(limiter.hit(onePerMinute, 'user', '42'), true);
    assert.equal(limiter.hit(onePerMinute, 'user', '42'), false);
    clock.advance(60_000);
    assert.equal(limiter.hit(onePerMinute, 'user', '42'), true);
  });
});

describeStorage('MemoryStorage', {
  open: (options) => new MemoryStorage(options),
  runner: { describe, it },
});
