import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  Controller,
  Get,
  Module,
  Res,
  type DynamicModule,
  type INestApplication,
  type MiddlewareConsumer,
  type NestModule,
} from '@nestjs/common';
import { MemoryStorage, RateLimit, RateLimitMiddleware, RateLimitModule } from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import type { ServerResponse } from 'node:http';
import { setImmediate as immediate } from 'node:timers/promises';
import { protocols, ServedApp, until } from '../support/http-exchange.js';

/** The promise that the key awaits, and its number of calls. */
let showKey: () => void = () => undefined;
let keyIsKnown: Promise<void> = Promise.resolve();
let keys = 0;
let handled = 0;

async function slowKey(): Promise<string> {
  keys++;
  await keyIsKnown;
  return 'everybody';
}

@Controller()
class ProbeController {
  /** Sends nothing, since the middleware has responded. */
  @Get('admitted')
  @RateLimit('1/minute', { key: slowKey })
  admitted(@Res() _response: unknown) {
    handled++;
  }

  @Get('refused')
  @RateLimit('0/minute', { key: slowKey })
  refused() {
    handled++;
  }

  @Get(['middleware/admitted', 'middleware/refused'])
  middleware(@Res() _response: unknown) {
    handled++;
  }
}

/** A middleware that responds with 503, like one that limits the duration of requests. */
const timeout = { runsOut: (): void => undefined };

function timeoutMiddleware(_request: unknown, response: ServerResponse, next: () => void): void {
  timeout.runsOut = () => {
    response.statusCode = 503;
    response.end();
  };
  next();
}

@Module({ controllers: [ProbeController] })
class ProbeModule implements NestModule {
  configure(consumer: MiddlewareConsumer): void {
    consumer.apply(RateLimitMiddleware).forRoutes('*path');
  }
}

function limits(): DynamicModule {
  return RateLimitModule.forRoot({
    storage: new MemoryStorage({ clock: new ManualClock() }),
    headers: { legacy: true },
    rules: [
      { id: 'admitted', path: '/middleware/admitted', limits: '1/minute', key: slowKey },
      {
        id: 'failing',
        path: '/middleware/failing',
        limits: '1/minute',
        key: async () => {
          await slowKey();
          throw new Error('no key');
        },
      },
      { id: 'refused', path: '/middleware/refused', limits: '0/minute', key: slowKey },
    ],
  });
}

describe.each(protocols)('A decision that comes after another response, on $name', (protocol) => {
  let app: ServedApp;

  beforeEach(async () => {
    keys = 0;
    handled = 0;
    keyIsKnown = new Promise((resolve) => {
      showKey = resolve;
    });
    app = await ServedApp.start(protocol, { imports: [limits(), ProbeModule] }, (nest: INestApplication) =>
      nest.use(timeoutMiddleware),
    );
  });

  afterEach(async () => {
    await app.close();
  });

  it.each([
    ['/admitted', 1],
    ['/refused', 0],
    ['/middleware/admitted', 1],
    ['/middleware/refused', 0],
  ])('sets no header fields: %s', async (path, times) => {
    const exchange = app.client.send(path);
    await until(() => keys > 0);
    timeout.runsOut();
    expect(await exchange.end).toBe(503);
    showKey();
    for (let turn = 0; turn < 20; turn++) await immediate();
    expect(app.log.errors).toEqual([]);
    // Fastify does not continue a request that a middleware has answered.
    const isPassedOn = protocol.name === 'Express' || !path.startsWith('/middleware');
    expect(handled).toBe(isPassedOn ? times : 0);
  });

  it('is logged if it failed', async () => {
    const exchange = app.client.send('/middleware/failing');
    await until(() => keys > 0);
    timeout.runsOut();
    expect(await exchange.end).toBe(503);
    showKey();
    for (let turn = 0; turn < 20; turn++) await immediate();
    expect(app.log.errors).toEqual([
      'Checking limits failed: The rule "failing": the function "key" failed: no key',
    ]);
    expect(handled).toBe(0);
  });
});
