import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  Controller,
  Get,
  Module,
  Post,
  Sse,
  type INestApplication,
  type MiddlewareConsumer,
  type NestModule,
} from '@nestjs/common';
import {
  MemoryStorage,
  RateLimit,
  RateLimiterService,
  RateLimitMiddleware,
  RateLimitModule,
  type RateLimitRule,
} from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { once, type EventEmitter } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { request, type IncomingMessage, type Server } from 'node:http';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as immediate } from 'node:timers/promises';
import { concat, NEVER, of, type Observable } from 'rxjs';
import { protocols, ServedApp, until, type Protocol } from '../support/http-exchange.js';

/** The calls of handlers, and the promises that they await. */
const calls = { login: 0, any: 0 };
let finishLogins: () => void = () => undefined;
let loginsFinish: Promise<void> = Promise.resolve();

async function tryPassword(): Promise<string> {
  calls.login++;
  await loginsFinish;
  return 'welcome';
}

const MINUTE = 60_000;

/** Of the storage. */
let clock: ManualClock;

const login = { name: 'login', count: 'failure', block: '15 minutes' } as const;

@Controller()
class ProbeController {
  @Post('by-decorator')
  @RateLimit('5/minute', login)
  byDecorator() {
    return tryPassword();
  }

  @Post('by-function')
  @RateLimit('5/minute', { ...login, count: (_context, { success }) => !success })
  byFunction() {
    return tryPassword();
  }

  @Post(['by-rule', 'by-middleware'])
  byRule() {
    return tryPassword();
  }

  @Sse('events')
  @RateLimit('3/minute', { name: 'events', count: 'failure' })
  events(): Observable<{ data: string }> {
    return concat(of({ data: 'one' }), NEVER);
  }

  @Get('any')
  @RateLimit('1000/minute', { name: 'any', key: () => 'everybody' })
  any() {
    calls.any++;
    return '';
  }

  @Get('by-middleware')
  anyByMiddleware() {
    calls.any++;
    return '';
  }
}

const rules: RateLimitRule[] = [
  { id: 'rule', method: 'POST', path: '/by-rule', limits: '5/minute', ...login },
  { id: 'middleware', method: 'POST', path: '/by-middleware', limits: '5/minute', ...login },
  { id: 'any-rule', method: 'GET', path: '/by-middleware', limits: '1000/minute', key: () => 'everybody' },
];

/** With the middleware, the guard counts nothing. */
function moduleOf(isMiddleware: boolean): new () => NestModule {
  @Module({
    imports: [
      RateLimitModule.forRoot({
        storage: new MemoryStorage({ clock }),
        rules,
        guard: !isMiddleware,
      }),
    ],
    controllers: [ProbeController],
  })
  class ProbeModule implements NestModule {
    configure(consumer: MiddlewareConsumer): void {
      if (isMiddleware) consumer.apply(RateLimitMiddleware).forRoutes('*path');
    }
  }
  return ProbeModule;
}

const running: ServedApp[] = [];

async function start(
  protocol: Protocol,
  isMiddleware = false,
  configure?: (app: INestApplication) => void,
): Promise<ServedApp> {
  const app = await ServedApp.start(protocol, { imports: [moduleOf(isMiddleware)] }, configure);
  running.push(app);
  return app;
}

beforeEach(() => {
  clock = new ManualClock();
  calls.login = 0;
  calls.any = 0;
  loginsFinish = new Promise((resolve) => {
    finishLogins = resolve;
  });
});

afterEach(async () => {
  finishLogins();
  await Promise.all(running.splice(0).map((app) => app.close()));
});

async function left(app: ServedApp, policy: string): Promise<number> {
  return (await app.nest.get(RateLimiterService).peek({ policy }, 'everybody')).remaining;
}

describe.each(protocols)('Requests whose client leaves, on $name', (protocol) => {
  it.each(['/by-decorator', '/by-function', '/by-rule', '/by-middleware'])(
    'allow five of 40 guesses that are reset while the handler runs, and then block: %s',
    async (path) => {
      const app = await start(protocol, path === '/by-middleware');
      for (let guess = 1; guess <= 40; guess++) {
        const before = calls.login;
        const exchange = app.client.send(path, 'POST');
        let status = 0;
        void exchange.end.then((answered) => {
          status = answered;
        });
        await until(() => calls.login > before || status > 0);
        if (status === 0) exchange.reset();
        await app.untilClosed(guess);
      }
      expect(calls.login).toBe(5);
      finishLogins();
      await immediate();
      clock.advance(15 * MINUTE - 1); // the limit blocks only for guesses that count
      expect(await app.client.send(path, 'POST').end).toBe(429);
      clock.advance(1);
      expect(await app.client.send(path, 'POST').end).toBe(201);
    },
  );

  it('count no failure when a client has read one event', async () => {
    const app = await start(protocol);
    const statuses: number[] = [];
    for (let reader = 1; reader <= 5; reader++) {
      const exchange = app.client.send('/events');
      statuses.push(await exchange.status);
      await exchange.firstData;
      exchange.reset();
      await app.untilClosed(reader);
    }
    expect(statuses).toEqual([200, 200, 200, 200, 200]);
  });

  it.each([
    ['guard', '/any', 'any', false],
    ['middleware', '/by-middleware', 'any-rule', true],
  ] as const)(
    'are refused by the %s if the client has left before it',
    async (_who, path, policy, isMiddleware) => {
      let waiting = 0;
      const app = await start(protocol, isMiddleware, (nest) =>
        nest.use((_request: unknown, response: EventEmitter, next: () => void) => {
          response.once('close', next);
          waiting++;
        }),
      );
      for (let request = 1; request <= 10; request++) {
        const exchange = app.client.send(path);
        await until(() => waiting >= request);
        exchange.reset();
        await app.untilClosed(request);
      }
      expect(calls.any).toBe(0);
      expect(await left(app, policy)).toBe(1000);
      expect(app.log.errors).toEqual([]);
    },
  );
});

const overHttp1 = protocols.filter(({ isHttp2 }) => !isHttp2);

describe.each(overHttp1)('Requests on connections that are reset immediately, on $name', (protocol) => {
  it.each([
    ['guard', '/any', 'any', false],
    ['middleware', '/by-middleware', 'any-rule', true],
  ] as const)(
    'never reach the handler, and are not counted: %s',
    async (_who, path, policy, isMiddleware) => {
      const app = await start(protocol, isMiddleware);
      for (let request = 0; request < 150; request++) {
        const socket = connect(app.port, '127.0.0.1').on('error', () => undefined);
        await once(socket, 'connect');
        socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
        socket.resetAndDestroy();
      }
      await app.untilClosed(150);
      expect(app.received).toBe(150);
      expect(calls.any).toBe(0);
      expect(await left(app, policy)).toBe(1000);
      expect(app.log.errors).toEqual([]);
      expect(await app.client.send(path).end).toBe(200);
      expect(await left(app, policy)).toBe(999);
    },
  );
});

describe.each(overHttp1)('Requests without a peer address, on $name', (protocol) => {
  it('are handled over a unix socket', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'nestjs-limits-'));
    const socketPath = join(folder, 'http.sock');
    const app = await start(protocol);
    const proxy = createServer((socket) =>
      (app.nest.getHttpServer() as Server).emit('connection', socket),
    ).listen(socketPath);
    await once(proxy, 'listening');
    const sent = request({ socketPath, path: '/any', agent: false }).end();
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    await once(response.resume(), 'end');
    proxy.close();
    await rm(folder, { recursive: true });
    expect(response.statusCode).toBe(200);
    expect(calls.any).toBe(1);
    expect(await left(app, 'any')).toBe(999);
  });
});
