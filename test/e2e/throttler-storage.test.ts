import { afterEach, describe, expect, it } from '@jest/globals';
import { ConfigurationError, MemoryStorage, toThrottlerStorage } from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import { runScript } from '../support/child-script.js';
import { platforms } from '../support/http-app.js';

const SECOND = 1000;

const running: ChildProcess[] = [];

afterEach(() => {
  for (const child of running.splice(0)) child.kill();
});

/** An application limited by @nestjs/throttler. */
class ThrottledApp {
  static async start(platform: string): Promise<ThrottledApp> {
    const child = spawn(
      process.execPath,
      ['--import', './test/support/typescript.mjs', 'test/support/throttled-app.ts', platform],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    running.push(child);
    for await (const url of createInterface({ input: child.stdout })) return new ThrottledApp(url);
    throw new Error('The application has ended.');
  }

  private constructor(private readonly url: string) {}

  get(path: string): Promise<Response> {
    return fetch(this.url + path);
  }

  async statuses(count: number, path: string): Promise<number[]> {
    const statuses: number[] = [];
    for (let request = 0; request < count; request++) statuses.push((await this.get(path)).status);
    return statuses;
  }

  async advance(ms: number): Promise<void> {
    await fetch(`${this.url}/clock/${ms}`, { method: 'POST' });
  }
}

describe.each(platforms)('@nestjs/throttler over a storage of nestjs-limits, on %s', (platform) => {
  it('allows up to the limit, reports the remaining hits, and then responds with 429 and the wait', async () => {
    const app = await ThrottledApp.start(platform);
    const fieldsOf = ({ headers }: Response): unknown[] =>
      ['limit', 'remaining', 'reset'].map((name) => headers.get(`x-ratelimit-${name}`));
    expect(fieldsOf(await app.get('/'))).toEqual(['2', '1', '10']);
    await app.advance(4 * SECOND);
    expect(fieldsOf(await app.get('/'))).toEqual(['2', '0', '6']);
    const refused = await app.get('/');
    expect(refused.status).toBe(429);
    expect(refused.headers.get('retry-after')).toBe('10');
  });

  it('blocks for the rest of the window, unless a route has another duration', async () => {
    const app = await ThrottledApp.start(platform);
    expect(await app.statuses(3, '/')).toEqual([200, 200, 429]);
    expect(await app.statuses(2, '/strict')).toEqual([200, 429]);
    await app.advance(10 * SECOND - 1);
    expect(await app.statuses(1, '/')).toEqual([429]);
    await app.advance(1);
    expect(await app.statuses(3, '/')).toEqual([200, 200, 429]);
    expect(await app.statuses(1, '/strict')).toEqual([429]);
    await app.advance(20 * SECOND);
    expect(await app.statuses(2, '/strict')).toEqual([200, 429]);
  });

  it('counts routes separately, and skips the skipped ones', async () => {
    const app = await ThrottledApp.start(platform);
    expect(await app.statuses(3, '/')).toEqual([200, 200, 429]);
    expect(await app.statuses(1, '/strict')).toEqual([200]);
    expect(await app.statuses(5, '/open')).toEqual([200, 200, 200, 200, 200]);
  });
});

describe('A storage of @nestjs/throttler over a storage of nestjs-limits', () => {
  it('returns the number of hits, and when the next window opens', async () => {
    const storage = toThrottlerStorage(new MemoryStorage());
    const hit = (): unknown => storage.increment('somebody', 10 * SECOND, 2, 30 * SECOND, 'default');
    expect(await hit()).toEqual({ totalHits: 1, timeToExpire: 10, isBlocked: false, timeToBlockExpire: 0 });
    expect(await hit()).toEqual({ totalHits: 2, timeToExpire: 10, isBlocked: false, timeToBlockExpire: 0 });
    expect(await hit()).toEqual({ totalHits: 3, timeToExpire: 30, isBlocked: true, timeToBlockExpire: 30 });
    expect(await hit()).toEqual({ totalHits: 3, timeToExpire: 30, isBlocked: true, timeToBlockExpire: 30 });
  });

  it('counts throttlers, keys and windows separately', async () => {
    const storage = toThrottlerStorage(new MemoryStorage());
    const hits = [
      await storage.increment('ann', SECOND, 2, 0, 'short'),
      await storage.increment('bob', SECOND, 2, 0, 'short'),
      await storage.increment('ann', SECOND, 2, 0, 'long'),
      await storage.increment('ann', 9 * SECOND, 2, 0, 'short'),
    ];
    expect(hits.map(({ totalHits }) => totalHits)).toEqual([1, 1, 1, 1]);
  });

  it('never admits more than the limit under concurrency', async () => {
    const storage = toThrottlerStorage(new MemoryStorage());
    const hits = await Promise.all(
      Array.from({ length: 50 }, () => storage.increment('somebody', 60 * SECOND, 20, 0, 'default')),
    );
    expect(hits.filter(({ isBlocked }) => !isBlocked)).toHaveLength(20);
  });

  it('refuses everything at a limit of 0', async () => {
    const storage = toThrottlerStorage(new MemoryStorage());
    expect(await storage.increment('somebody', SECOND, 0, 5 * SECOND, 'default')).toEqual({
      totalHits: 1,
      timeToExpire: 0,
      isBlocked: true,
      timeToBlockExpire: 5,
    });
  });

  it.each([
    ['Infinity', Infinity, 60 * SECOND, [false, false, false]],
    ['not a number', NaN, 60 * SECOND, [false, false, false]],
    ['a fraction', 1.5, 60 * SECOND, [false, true, true]],
    ['negative', -1, 60 * SECOND, [true, true, true]],
    ['-Infinity', -Infinity, 60 * SECOND, [true, true, true]],
    ['above the safe integers', 1e300, 60 * SECOND, [false, false, false]],
    ['of a window of a fraction', 1, 1500.5, [false, true, true]],
    ['of an endless window', 1, Infinity, [false, true, true]],
  ])('refuses like the storage of throttler with a limit that is %s', async (_what, limit, ttl, refused) => {
    for (const strategy of ['fixed-window', 'moving-window', 'token-bucket'] as const) {
      if (ttl === Infinity && strategy === 'token-bucket') continue;
      const storage = toThrottlerStorage(new MemoryStorage({ clock: new ManualClock() }), { strategy });
      const seen: boolean[] = [];
      for (let hit = 0; hit < 3; hit++)
        seen.push((await storage.increment('somebody', ttl, limit, 0, 'default')).isBlocked);
      expect(seen).toEqual(refused);
    }
  });

  it.each([0, -5, NaN])('opens a window for each ms with a ttl of %p', async (ttl) => {
    const clock = new ManualClock();
    const storage = toThrottlerStorage(new MemoryStorage({ clock }));
    for (let hit = 0; hit < 3; hit++) {
      expect(await storage.increment('somebody', ttl, 1, 0, 'default')).toMatchObject({
        totalHits: 1,
        isBlocked: false,
      });
      clock.advance(1);
    }
  });

  it.each([0.5, Infinity])('takes a block of %p ms', async (blockDuration) => {
    const clock = new ManualClock();
    const storage = toThrottlerStorage(new MemoryStorage({ clock }));
    const hit = async (): Promise<boolean> =>
      (await storage.increment('somebody', 60 * SECOND, 1, blockDuration, 'default')).isBlocked;
    expect([await hit(), await hit()]).toEqual([false, true]);
    clock.advance(60 * SECOND);
    expect(await hit()).toBe(blockDuration === Infinity);
  });

  it.each([
    ['calendar-window', 'toThrottlerStorage has no calendar: '],
    ['concurrency', 'toThrottlerStorage counts rates: '],
  ])('cannot count by the strategy %s', (strategy, message) => {
    const adapt = (): unknown =>
      toThrottlerStorage(new MemoryStorage(), { strategy: strategy as 'fixed-window' });
    expect(adapt).toThrow(ConfigurationError);
    expect(adapt).toThrow(message);
  });

  it('counts by any strategy', async () => {
    const storage = toThrottlerStorage(new MemoryStorage(), { strategy: 'token-bucket' });
    await storage.increment('somebody', 10 * SECOND, 2, 0, 'default');
    expect(await storage.increment('somebody', 10 * SECOND, 2, 0, 'default')).toMatchObject({
      totalHits: 2,
      timeToExpire: 5,
    });
  });

  it('closes its storage when the application shuts down, and only logs a failure', async () => {
    const storage = new MemoryStorage();
    let closed = 0;
    storage.close = () => {
      closed++;
      throw new Error('no connection');
    };
    await toThrottlerStorage(storage).onApplicationShutdown();
    expect(closed).toBe(1);
  });

  it('closes its storage with the application, so that the process ends', async () => {
    const server = createServer((socket) => socket.on('error', () => undefined).resume());
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as AddressInfo;
    const result = await runScript(`
      import { setTimeout as sleep } from 'node:timers/promises';
      import { Module } from '@nestjs/common';
      import { NestFactory } from '@nestjs/core';
      import { ThrottlerModule } from '@nestjs/throttler';
      import { toThrottlerStorage } from './lib/index.ts';
      import { RedisStorage } from './lib/storages/redis/index.ts';
      const storage = toThrottlerStorage(new RedisStorage('redis://127.0.0.1:${port}', { timeout: 120000 }));
      class AppModule {}
      Module({ imports: [ThrottlerModule.forRoot({ throttlers: [{ ttl: 1000, limit: 1 }], storage })] })(AppModule);
      const app = await NestFactory.createApplicationContext(AppModule, { logger: false });
      storage.increment('somebody', 1000, 1, 0, 'default').catch(() => undefined);
      await sleep(200);
      await app.close();
      process.stdout.write('closed');
    `);
    server.close();
    expect(result).toEqual({ code: 0, output: 'closed', errors: '' });
  }, 60_000);
});
