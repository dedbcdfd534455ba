import { expect, it } from '@jest/globals';
import { Controller, Get } from '@nestjs/common';
import {
  RateLimit,
  RateLimiterService,
  StorageError,
  type RateLimitModuleOptions,
  type ResilienceOptions,
} from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { describeOverHttp, limited, type HttpApp, type StartHttpApp } from '../support/http-app.js';
import { MapCasServer, MapCasStorage } from '../support/map-cas.storage.js';
import { until } from '../support/servers/server-process.js';

const BACK = 'MapCasStorage is back.';

@Controller()
class ShopController {
  @Get()
  @RateLimit('2/minute')
  shop() {
    return '';
  }

  @Get('pay')
  @RateLimit('2/minute', { onError: 'deny' })
  pay() {
    return '';
  }

  @Get('browse')
  @RateLimit('2/minute', { onError: 'allow' })
  browse() {
    return '';
  }

  @Get('hot')
  @RateLimit('1000/minute', { name: 'hot' })
  hot() {
    return '';
  }

  @Get('both')
  @RateLimit('9/minute', { name: 'lenient', onError: 'allow' })
  @RateLimit('1/minute', { name: 'strict', onError: 'fallback' })
  both() {
    return '';
  }
}

interface Shop {
  readonly app: HttpApp;
  readonly server: MapCasServer;
  /** Makes the store fail or hang. */
  down(how?: 'fails' | 'hangs'): void;
  /** Makes the store respond, and waits until the circuit has closed. */
  up(): Promise<void>;
}

async function open(
  start: StartHttpApp,
  resilience: ResilienceOptions | false = {},
  options: RateLimitModuleOptions = {},
): Promise<Shop> {
  const server = new MapCasServer();
  const storage = new MapCasStorage(server, { clock: new ManualClock() });
  const app = await start(
    limited([ShopController], {
      storage,
      resilience: resilience && {
        probeInterval: 20,
        timeout: 10_000,
        startWithoutStore: false, // the start waits for its check
        ...resilience,
      },
      ...options,
    }),
  );
  return {
    app,
    server,
    down(how = 'fails') {
      storage.check = async () => false;
      server.interfere =
        how === 'hangs'
          ? () => new Promise<void>(() => {})
          : () => {
              throw new Error('connection lost');
            };
    },
    async up() {
      storage.check = async () => true;
      server.interfere = () => undefined;
      await until(() => app.log.infos.includes(BACK), 'the store to be found again');
    },
  };
}

describeOverHttp('While the store is down, a request', (start) => {
  it('is counted in this process by default', async () => {
    const { app, down, up } = await open(start);
    expect(await app.statuses(1, '/')).toEqual([200]);
    down();
    expect(await app.statuses(3, '/')).toEqual([200, 200, 429]);
    for (let request = 0; request < 9; request++) await app.get('/');
    await up();
    expect(await app.statuses(2, '/')).toEqual([200, 429]);
  });

  it('gets 503 and Retry-After if its limit denies', async () => {
    const { app, down } = await open(start);
    down();
    const reply = await app.get('/pay');
    expect(reply.status).toBe(503);
    expect(reply.headers.get('retry-after')).toBe('1');
    expect(reply.body).toEqual({
      statusCode: 503,
      error: 'Service Unavailable',
      message: 'Rate limits cannot be checked at the moment.',
    });
  });

  it('is allowed if its limit allows', async () => {
    const { app, down } = await open(start);
    down();
    expect(await app.statuses(9, '/browse')).toEqual(Array(9).fill(200));
  });

  it('is handled by the strictest of the limits that share a count', async () => {
    const shared = { path: '/browse', name: 'shared', scope: 'shared', continue: true };
    const { app, down } = await open(
      start,
      {},
      {
        rules: [
          { id: 'loose', ...shared, limits: '10/minute', onError: 'deny' },
          { id: 'strict', ...shared, limits: '5/minute' },
        ],
      },
    );
    expect((await app.get('/browse')).remaining).toBe('"default";r=1, "shared";r=4');
    down();
    expect(await app.statuses(1, '/browse')).toEqual([503]);
  });

  it('keeps its slot, which is registered at once with a store that is back and has lost it', async () => {
    const { app, server, down, up } = await open(start);
    const service = app.nest.get(RateLimiterService);
    const slot = await service.acquire('2 concurrent', ['job']);
    down();
    for (let request = 0; request < 9; request++) await app.get('/');
    server.entries.clear();
    await up();
    // The store answers the renewal after it has been found.
    await until(async () => {
      const { remaining, degraded } = await service.peek('2 concurrent', 'job');
      return remaining === 1 && degraded === undefined;
    }, 'the slot to be registered');
    await slot.release();
    expect((await service.peek('2 concurrent', 'job')).remaining).toBe(2);
  });

  it('is handled by the strictest of its limits', async () => {
    const { app, down } = await open(start);
    down();
    expect(await app.statuses(2, '/both')).toEqual([200, 429]);
  });

  it('gets no Retry-After if header fields are disabled', async () => {
    const { app, down } = await open(start, {}, { headers: { retryAfter: false } });
    down();
    const reply = await app.get('/pay');
    expect(reply.status).toBe(503);
    expect(reply.headers.get('retry-after')).toBeNull();
  });

  it('is handled by the option of the module if no limit has one', async () => {
    const { app, down } = await open(start, { onError: 'deny' });
    down();
    expect(await app.statuses(1, '/')).toEqual([503]);
    expect(await app.statuses(1, '/browse')).toEqual([200]);
  });

  it('is decided after the timeout if the store hangs', async () => {
    const { app, down } = await open(start, { timeout: 30 });
    down('hangs');
    expect(await app.statuses(1, '/')).toEqual([200]);
  });

  it('fails with 500 if resilience is disabled', async () => {
    const { app, down } = await open(start, false);
    down();
    expect(await app.statuses(1, '/')).toEqual([500]);
  });

  it('counts the share of this process if there are several', async () => {
    const { app, down } = await open(start, { instances: 2 });
    down();
    expect(await app.statuses(2, '/')).toEqual([200, 429]);
  });
});

describeOverHttp('A store that is down', (start) => {
  it('is logged once, and once more when the store is back', async () => {
    const { app, down, up } = await open(start, { failureThreshold: 2 });
    down();
    for (let request = 0; request < 9; request++) await app.get('/');
    await up();
    expect(app.log.warnings).toEqual([
      'MapCasStorage failed: connection lost. Until it is back, this process counts alone.',
    ]);
    expect(app.log.infos).toContain(BACK);
    expect(app.log.errors).toEqual([]);
  });

  it('does not stop the application from starting, unless the store is required', async () => {
    const server = new MapCasServer();
    const storage = new MapCasStorage(server);
    storage.check = async () => false;
    const needed: RateLimitModuleOptions = { storage, resilience: { startWithoutStore: false } };
    const readOnly = 'MapCasStorage responds, but cannot count.';
    const app = await start(limited([ShopController], { storage }));
    await until(() => app.log.warnings.length > 0, 'the store to be checked');
    expect(app.log.warnings).toEqual([`${readOnly} The application starts without it.`]);
    await expect(start(limited([ShopController], needed))).rejects.toThrow(new StorageError(readOnly));

    server.interfere = () => {
      throw new Error('wrong password');
    };
    const lost = 'MapCasStorage does not answer (MapCasStorage failed: wrong password).';
    const other = await start(limited([ShopController], { storage }));
    await until(() => other.log.warnings.length > 0, 'the store to be checked');
    expect(other.log.warnings).toEqual([`${lost} The application starts without it.`]);
    const error: unknown = await start(limited([ShopController], needed)).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(StorageError);
    expect((error as StorageError).message).toBe(lost);
  });

  it('that fails for some calls only is logged, once per kind of error', async () => {
    const { app, server } = await open(start);
    let calls = 0;
    server.interfere = (_method, key) => {
      if (!key.includes('{ip:')) return;
      if (++calls % 3 === 0) throw new Error(calls % 2 === 0 ? `no slot ${calls}` : 'no right');
    };
    for (let request = 0; request < 30; request++) await app.get('/browse');
    await until(() => app.log.warnings.length === 2, 'both kinds to be reported');
    for (let request = 0; request < 30; request++) await app.get('/browse');
    await app.nest.close();
    expect(app.log.warnings.map((line) => String(line).replace(/slot \d+/, 'slot #'))).toEqual([
      'MapCasStorage failed: no right. When a single call fails, this process counts alone. This kind of failure is logged once, an outage each time.',
      'MapCasStorage failed: no slot #. When a single call fails, this process counts alone. This kind of failure is logged once, an outage each time.',
    ]);
  });

  it('does not affect the service, which also counts in this process', async () => {
    const { app, down } = await open(start);
    down();
    const service = app.nest.get(RateLimiterService);
    const hits = [
      await service.hit('2/minute', 'mails'),
      await service.hit('2/minute', 'mails'),
      await service.hit('2/minute', 'mails'),
    ];
    expect(hits).toEqual([true, true, false]);
  });
});

describeOverHttp('With leases, a request', (start) => {
  it('rarely calls the store, reports the remaining units, and refuses after the last one', async () => {
    const { app, server } = await open(start, { lease: { size: 10, maxError: 1 } });
    const left: (string | null)[] = [];
    for (let request = 0; request < 20; request++)
      left.push((await app.get('/hot')).headers.get('ratelimit'));
    expect(server.count('compareAndSet')).toBe(2);
    expect(left[0]).toBe('"hot";r=999;t=60');
    expect(left[19]).toBe('"hot";r=980;t=60');
    expect(await app.statuses(3, '/')).toEqual([200, 200, 429]);
  });

  it('refunds unused permits when the application shuts down', async () => {
    const { app, server } = await open(start, { lease: { size: 10, maxError: 1 } });
    expect(await app.statuses(3, '/hot')).toEqual([200, 200, 200]);
    await app.nest.close();
    const [text = ''] = [...server.entries].flatMap(([key, entry]) =>
      key.includes('{start/') ? [] : [entry.text],
    );
    expect(Object.values(JSON.parse(text) as Record<string, number[]>)[0]?.[1]).toBe(3);
  });
});
