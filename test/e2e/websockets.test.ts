import { once } from 'node:events';
import type { Server } from 'node:http';
import { connect } from 'node:net';
import { promisify } from 'node:util';
import { expect, it } from '@jest/globals';
import {
  Controller,
  Get,
  Injectable,
  Param,
  Scope,
  UseGuards,
  UseInterceptors,
  type CanActivate,
  type ExecutionContext,
} from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import {
  ConnectedSocket,
  MessageBody,
  SubscribeMessage,
  WebSocketGateway,
  WebSocketServer,
  WsException,
} from '@nestjs/websockets';
import {
  RateLimit,
  RateLimiterService,
  RateLimitGuard,
  RateLimitInfo,
  RateLimitInterceptor,
  requestOf,
  SkipRateLimit,
  type Decision,
} from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { delay, of } from 'rxjs';
import { describeOverHttp, limited } from '../support/http-app.js';
import { MapCasServer, MapCasStorage } from '../support/map-cas.storage.js';
import { describeOverWebSockets } from '../support/ws-app.js';

const answer = (data: unknown = 'ok'): { event: string; data: unknown } => ({ event: 'answer', data });

@WebSocketGateway()
class ChatGateway {
  @SubscribeMessage('say')
  @RateLimit('3/minute')
  say() {
    return answer();
  }

  @SubscribeMessage('later')
  @RateLimit('1/minute')
  async later() {
    return Promise.resolve(answer('later'));
  }

  @SubscribeMessage('stream')
  @RateLimit('1/minute')
  stream() {
    return of(answer('stream')).pipe(delay(1));
  }

  @SubscribeMessage('free')
  free() {
    return answer('free');
  }
}

describeOverWebSockets('A limited message', (start) => {
  it('is refused with an exception that has the limit and the wait', async () => {
    const app = await start([ChatGateway]);
    const client = await app.connect();
    expect(await client.outcomes(3, 'say', 'hi')).toEqual(['ok', 'ok', 'ok']);
    expect(await client.ask('say', 'hi')).toEqual({
      event: 'exception',
      data: {
        status: 'error',
        statusCode: 429,
        error: 'Too Many Requests',
        message: 'Rate limit "default" exceeded: 3 per minute. Try again in 60 s.',
        limit: { name: 'default', amount: 3, period: 60, remaining: 0 },
        retryAfter: 60,
      },
    });
    expect(app.http.log.entries).toEqual([]);
  });

  it('is allowed again after the wait of the exception', async () => {
    const clock = new ManualClock();
    const client = await (await start([ChatGateway], { clock })).connect();
    await client.outcomes(4, 'say', 'hi');
    clock.advance(59_999);
    expect(await client.outcomes(1, 'say', 'hi')).toEqual(['refused']);
    clock.advance(1);
    expect(await client.outcomes(1, 'say', 'hi')).toEqual(['ok']);
  });

  it('is counted by its event, for any kind of response', async () => {
    const client = await (await start([ChatGateway])).connect();
    expect(await client.outcomes(4, 'say')).toEqual(['ok', 'ok', 'ok', 'refused']);
    expect(await client.outcomes(2, 'later')).toEqual(['later', 'refused']);
    expect(await client.outcomes(2, 'stream')).toEqual(['stream', 'refused']);
    expect(await client.outcomes(9, 'free')).toEqual(new Array(9).fill('free'));
  });

  it('is counted by the address of its client, over all its connections', async () => {
    const app = await start([ChatGateway]);
    const [one, two] = [await app.connect(), await app.connect()];
    expect(await one.outcomes(2, 'say')).toEqual(['ok', 'ok']);
    expect(await two.outcomes(2, 'say')).toEqual(['ok', 'refused']);
    const other = await app.connect({ from: '127.0.0.2' });
    expect(await other.outcomes(4, 'say')).toEqual(['ok', 'ok', 'ok', 'refused']);
  });

  it('is counted by its connection if the key is "socket"', async () => {
    @WebSocketGateway()
    class SocketGateway {
      @SubscribeMessage('say')
      @RateLimit('2/minute', { key: 'socket' })
      say() {
        return answer();
      }
    }
    const app = await start([SocketGateway]);
    for (const client of [await app.connect(), await app.connect()])
      expect(await client.outcomes(3, 'say')).toEqual(['ok', 'ok', 'refused']);
  });

  it('is counted by the user that the application set on the connection', async () => {
    @WebSocketGateway()
    class UserGateway {
      handleConnection(client: { user?: object }, request?: { headers: object }) {
        const { headers } = request ?? (client as { handshake: { headers: object } }).handshake;
        client.user = { id: (headers as Record<string, string>)['x-user'] };
      }

      @SubscribeMessage('say')
      @RateLimit('1/minute', { key: 'user' })
      say() {
        return answer();
      }
    }
    const app = await start([UserGateway]);
    for (const user of ['a', 'b']) {
      const client = await app.connect({ headers: { 'x-user': user } });
      expect(await client.outcomes(2, 'say')).toEqual(['ok', 'refused']);
    }
  });

  it('counts each message, however fast they arrive', async () => {
    const client = await (await start([ChatGateway])).connect();
    for (let message = 0; message < 50; message++) client.send('say', 'the same');
    const events: string[] = [];
    while (events.length < 50) events.push((await client.next()).event);
    expect(events.filter((event) => event === 'answer')).toHaveLength(3);
  });

  it('is known to the service by its route', async () => {
    const app = await start([ChatGateway]);
    await (await app.connect()).outcomes(2, 'say');
    const limiter = app.http.nest.get(RateLimiterService);
    const peeked = limiter.peek({ policy: 'default', route: 'ws / say' }, '127.0.0.1') as Decision;
    expect(peeked.remaining).toBe(1);
  });

  it('is counted by limits of the module too', async () => {
    const limits = { limits: [{ name: 'module', limits: '2/minute' }] };
    const client = await (await start([ChatGateway], { limits })).connect();
    expect(await client.outcomes(3, 'free')).toEqual(['free', 'free', 'refused']);
    expect((await client.ask('say')).data).toMatchObject({ limit: { name: 'module' } });
  });

  it('can be excluded, with all of its kind', async () => {
    const client = await (await start([ChatGateway], { limits: { transports: ['http'] } })).connect();
    expect(await client.outcomes(9, 'say')).toEqual(new Array(9).fill('ok'));
  });

  it('gets an error while the store is down, and so does the next one', async () => {
    const server = new MapCasServer();
    const storage = new MapCasStorage(server, { clock: new ManualClock() });
    const app = await start([ChatGateway], { limits: { storage, resilience: false } });
    const client = await app.connect();
    expect(await client.outcomes(1, 'say')).toEqual(['ok']);
    server.interfere = () => {
      throw new Error('down');
    };
    for (let message = 0; message < 2; message++)
      expect(await client.ask('say')).toMatchObject({
        event: 'exception',
        data: { message: 'Internal server error' },
      });
    server.interfere = () => undefined;
    expect(await client.outcomes(1, 'say')).toEqual(['ok']);
  });
});

describeOverWebSockets('The data of a message', (start) => {
  @WebSocketGateway()
  @UseGuards(RateLimitGuard)
  class AnyGateway {
    @SubscribeMessage('any')
    @UseGuards(RateLimitGuard)
    @RateLimit('3/minute')
    any(@MessageBody() data: unknown, @RateLimitInfo() decision?: Decision) {
      return answer({ data: data ?? null, remaining: decision?.remaining });
    }

    @SubscribeMessage('free')
    free(@RateLimitInfo() decision?: Decision) {
      return answer({ decision });
    }
  }

  it.each([
    ['a text', ['hi']],
    ['a number', [42]],
    ['nothing', []],
    ['null', [null]],
    ['an object', [{ text: 'hi' }]],
    ['a list', [['a', 'b']]],
  ])('can be %s: each message counts once, and its handler gets the decision', async (_kind, data) => {
    const client = await (await start([AnyGateway])).connect();
    const [sent = null] = data;
    for (const remaining of [2, 1, 0])
      expect(await client.ask('any', ...data)).toEqual(answer({ data: sent, remaining }));
    expect(await client.outcomes(1, 'any', ...data)).toEqual(['refused']);
    expect(await client.ask('free', ...data)).toEqual(answer({}));
  });
});

describeOverWebSockets('Limits of a gateway and of the module', (start) => {
  @WebSocketGateway()
  @RateLimit('2/minute')
  class LevelsGateway {
    @SubscribeMessage('one')
    one() {
      return answer();
    }

    @SubscribeMessage('two')
    two() {
      return answer();
    }

    @SubscribeMessage('none')
    @SkipRateLimit()
    none() {
      return answer();
    }
  }

  it('apply to all its messages together', async () => {
    const client = await (await start([LevelsGateway])).connect();
    expect(await client.outcomes(1, 'one')).toEqual(['ok']);
    expect(await client.outcomes(2, 'two')).toEqual(['ok', 'refused']);
    expect(await client.outcomes(9, 'none')).toEqual(new Array(9).fill('ok'));
  });

  it('add up under different names', async () => {
    const limits = { limits: [{ name: 'all', limits: '1/minute' }] };
    const client = await (await start([LevelsGateway], { limits })).connect();
    expect(await client.ask('one')).toEqual(answer());
    expect(await client.ask('one')).toMatchObject({ data: { limit: { name: 'all' } } });
  });
});

@WebSocketGateway()
@UseInterceptors(RateLimitInterceptor)
class LoginGateway {
  @SubscribeMessage('login')
  @RateLimit('2/minute', { count: 'failure' })
  login(@MessageBody() password: string) {
    if (password !== 'right') throw new WsException('wrong password');
    return answer();
  }
}

describeOverWebSockets('Counting by outcome', (start) => {
  it('refunds successes', async () => {
    const client = await (await start([LoginGateway])).connect();
    expect(await client.outcomes(5, 'login', 'right')).toEqual(new Array(5).fill('ok'));
    for (let attempt = 0; attempt < 2; attempt++)
      expect(await client.ask('login', 'wrong')).toMatchObject({ data: { message: 'wrong password' } });
    expect(await client.outcomes(1, 'login', 'right')).toEqual(['refused']);
  });
});

/** Sees everything that happens to connections, and sends to all of them. */
@WebSocketGateway()
class OpenGateway {
  readonly seen: string[] = [];

  @WebSocketServer()
  readonly server!: { clients?: Set<{ send(text: string): void }>; emit(event: string, data: string): void };

  handleConnection() {
    this.seen.push('connected');
  }

  handleDisconnect() {
    this.seen.push('disconnected');
  }

  @SubscribeMessage('say')
  say() {
    this.seen.push('message');
    return answer();
  }

  broadcast(): void {
    const { clients } = this.server;
    if (clients === undefined) this.server.emit('news', 'secret');
    else for (const client of clients) client.send(JSON.stringify({ event: 'news', data: 'secret' }));
  }
}

describeOverWebSockets('A denied client', (start, sockets) => {
  const forbidden = { event: 'exception', data: { status: 'error', statusCode: 403, message: 'Forbidden' } };
  const from = '127.0.0.2';

  @WebSocketGateway()
  class OtherGateway {
    seen = 0;

    handleConnection() {
      this.seen++;
    }
  }

  it('is closed when it connects, before any gateway sees it, and gets no broadcast', async () => {
    const app = await start([OpenGateway, OtherGateway], { limits: { deny: [from] } });
    const gateway = app.http.nest.get(OpenGateway);
    const denied = await app.connect({ from });
    denied.send('say');
    expect(await denied.next()).toEqual(forbidden);
    gateway.broadcast();
    expect(await denied.ended()).toEqual(sockets === 'ws' ? { code: 1008, reason: 'Forbidden' } : {});
    expect(denied.received).toEqual([forbidden]);
    expect([gateway.seen, app.http.nest.get(OtherGateway).seen]).toEqual([[], 0]);
    expect(await (await app.connect()).outcomes(1, 'say')).toEqual(['ok']);
    expect(app.http.log.entries).toEqual([]);
  });

  it('is closed with limits of connections, too', async () => {
    const app = await start([LimitedGateway], { limits: { deny: [from] } });
    for (let connection = 0; connection < 3; connection++) {
      const denied = await app.connect({ from });
      expect(await denied.next()).toEqual(forbidden);
      await denied.ended();
    }
    const gateway = app.http.nest.get(LimitedGateway);
    expect([gateway.connected, gateway.ended]).toEqual([[], []]);
  });

  it('is closed by an address that a function resolves, and its messages are not handled meanwhile', async () => {
    const clientIp = (context: ExecutionContext): Promise<string> =>
      Promise.resolve(requestOf(context)?.headers?.['x-client'] as string);
    const app = await start([LimitedGateway], { limits: { deny: ['192.0.2.0/24'], clientIp } });
    const denied = await app.connect({ headers: { 'x-client': '192.0.2.1' } });
    denied.send('say');
    expect(await denied.next()).toEqual(forbidden);
    await denied.ended();
    expect(denied.received.filter(({ event }) => event === 'answer')).toEqual([]);
    expect(app.http.nest.get(LimitedGateway).connected).toEqual([]);
  });

  it('is closed if its address cannot be resolved', async () => {
    const clientIp = (): never => {
      throw new Error('the secret name of a server');
    };
    const app = await start([OpenGateway], { limits: { deny: [from], clientIp } });
    const client = await app.connect();
    client.send('say');
    expect(await client.next()).toMatchObject({ data: { message: 'Internal server error' } });
    await client.ended();
    expect(app.http.nest.get(OpenGateway).seen).not.toContain('message');
    expect(app.http.log.errors).toHaveLength(1);
  });

  it('is not closed without the guard of the module, or where WebSockets are not limited', async () => {
    for (const limits of [
      { deny: [from], guard: false },
      { deny: [from], transports: ['http'] },
    ]) {
      const client = await (await start([OpenGateway], { limits })).connect({ from });
      expect(await client.outcomes(1, 'say')).toEqual(['ok']);
    }
  });
});

describeOverWebSockets('The handleDisconnect of a gateway', (start) => {
  @Injectable()
  class BaseGateway {
    online = 0;

    @RateLimit('2/minute')
    handleConnection(_client?: unknown) {
      this.online++;
    }

    @SubscribeMessage('say')
    say() {
      return answer();
    }
  }

  @WebSocketGateway()
  class DerivedGateway extends BaseGateway {
    ends = 0;

    handleDisconnect() {
      this.online--;
      this.ends++;
    }
  }

  @WebSocketGateway()
  class FieldGateway extends BaseGateway {
    ends = 0;
    readonly handleDisconnect = (): void => {
      this.online--;
      this.ends++;
    };
  }

  @WebSocketGateway()
  class OverridingGateway extends DerivedGateway {
    override handleConnection(client: unknown) {
      super.handleConnection(client);
    }

    override handleDisconnect() {
      super.handleDisconnect();
    }
  }

  it.each([
    ['a derived class', DerivedGateway],
    ['a field', FieldGateway],
    ['an override that calls the base class', OverridingGateway],
  ])('does not see refused connections, declared by %s', async (_kind, gatewayClass) => {
    const app = await start([gatewayClass]);
    const gateway = app.http.nest.get<DerivedGateway>(gatewayClass);
    for (let connection = 0; connection < 2; connection++) await (await app.connect()).outcomes(1, 'say');
    for (let connection = 0; connection < 6; connection++) await (await app.connect()).ended();
    const [open] = [await app.connect({ from: '127.0.0.2' })];
    await open.outcomes(1, 'say');
    open.close();
    while (gateway.ends === 0) await new Promise(setImmediate);
    expect([gateway.online, gateway.ends]).toEqual([2, 1]);
  });

  it('is told about once, and not limited, if an override calls the base class without the connection', async () => {
    @WebSocketGateway()
    class ForgetfulGateway extends BaseGateway {
      override handleConnection() {
        super.handleConnection();
      }
    }
    const app = await start([ForgetfulGateway]);
    for (let connection = 0; connection < 4; connection++)
      expect(await (await app.connect()).outcomes(1, 'say')).toEqual(['ok']);
    expect(app.http.nest.get(ForgetfulGateway).online).toBe(4);
    expect(app.http.log.warnings).toContain(
      'ForgetfulGateway.handleConnection was called without a connection, so it is not limited. Pass the arguments on: super.handleConnection(client).',
    );
  });

  it('does not see the connections that one of two gateways of a family refused', async () => {
    @WebSocketGateway()
    class StrictGateway extends DerivedGateway {
      @RateLimit('1/minute')
      override handleConnection() {
        this.online++;
      }
    }
    const app = await start([DerivedGateway, StrictGateway]);
    await (await app.connect()).outcomes(1, 'say');
    await (await app.connect()).ended();
    await (await app.connect()).ended();
    const http = app.http.nest.getHttpServer() as Server;
    const open = (): Promise<number> => promisify<number>((callback) => http.getConnections(callback))();
    while ((await open()) > 1) await new Promise(setImmediate);
    const [loose, strict] = [app.http.nest.get(DerivedGateway), app.http.nest.get(StrictGateway)];
    expect([loose.online, strict.online]).toEqual([1, 1]);
  });
});

describeOverWebSockets('A refused connection', (start, sockets) => {
  /** Refuses to make an error, or makes one that cannot be told. */
  const factories: readonly [string, () => unknown, unknown][] = [
    ['returns nothing', () => undefined, { statusCode: 429 }],
    ['returns a text', () => 'too many', { statusCode: 429 }],
    ['returns a promise of nothing', () => Promise.resolve(), { statusCode: 429 }],
    [
      'throws',
      () => {
        throw new WsException('thrown');
      },
      { message: 'thrown' },
    ],
    ['rejects', () => Promise.reject(new WsException('rejected')), { message: 'rejected' }],
    ['returns an error without a text', () => new WsException(undefined as never), { status: 'error' }],
    [
      'returns an error that cannot be read',
      () =>
        Object.assign(new Error(), {
          getError: () => {
            throw new Error('unreadable');
          },
        }),
      { message: 'Internal server error' },
    ],
    ['returns another error', () => new TypeError('internal'), { message: 'Internal server error' }],
  ];

  it.each(factories)(
    'ends without an uncaught error if errorFactory %s',
    async (_kind, errorFactory, data) => {
      const app = await start([LimitedGateway], { limits: { errorFactory: errorFactory as () => Error } });
      await app.connect();
      await app.connect();
      const refused = await app.connect();
      expect(await refused.next()).toMatchObject({ event: 'exception', data });
      await refused.ended();
      expect(app.http.nest.get(LimitedGateway).connected).toHaveLength(2);
    },
  );

  it('ends even if it cannot be told why', async () => {
    const body: Record<string, unknown> = { big: 1n };
    body['self'] = body;
    const app = await start([LimitedGateway], { limits: { errorFactory: () => new WsException(body) } });
    await app.connect();
    await app.connect();
    await (await app.connect()).ended();
    expect(app.http.log.errors).toEqual(
      sockets === 'ws'
        ? [expect.stringContaining('A refused connection could not be told why:')]
        : expect.any(Array),
    );
  });

  it('is terminated soon if its client does not answer the close frame', async () => {
    const app = await start([LimitedGateway]);
    await app.connect();
    await app.connect();
    const { port } = new URL(await app.http.nest.getUrl());
    const path = sockets === 'ws' ? '/' : '/socket.io/?EIO=4&transport=websocket';
    const silent = connect(Number(port), '127.0.0.1');
    silent.write(
      [
        `GET ${path} HTTP/1.1`,
        'Host: localhost',
        'Connection: Upgrade',
        'Upgrade: websocket',
        'Sec-WebSocket-Version: 13',
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
        '\r\n',
      ].join('\r\n'),
    );
    await once(silent, 'data');
    // Connects to the default namespace of Socket.IO: "40", in a masked frame.
    if (sockets === 'socket.io') silent.write(Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x34, 0x30]));
    silent.resume();
    await once(silent, 'close'); // ws itself would wait for longer than this test may take
    expect(silent.readableEnded || silent.errored !== null).toBe(true);
  });
});

@WebSocketGateway()
class LimitedGateway {
  readonly connected: unknown[] = [];
  readonly ended: unknown[] = [];

  @RateLimit('2/minute', { name: 'connections' })
  handleConnection(client: object) {
    this.connected.push(client);
  }

  handleDisconnect(client: object) {
    this.ended.push(client);
  }

  @SubscribeMessage('say')
  say() {
    return answer();
  }
}

const refusal = {
  status: 'error',
  statusCode: 429,
  error: 'Too Many Requests',
  message: 'Rate limit "connections" exceeded: 2 per minute. Try again in 60 s.',
  limit: { name: 'connections', amount: 2, period: 60, remaining: 0 },
  retryAfter: 60,
};

describeOverWebSockets('A limit of connections', (start, sockets) => {
  it('closes an excess connection, with the reason', async () => {
    const app = await start([LimitedGateway]);
    for (const client of [await app.connect(), await app.connect()])
      expect(await client.outcomes(1, 'say')).toEqual(['ok']);

    const refused = await app.connect();
    expect(await refused.next()).toEqual({ event: 'exception', data: refusal });
    expect(await refused.ended()).toEqual(sockets === 'ws' ? { code: 1013, reason: refusal.message } : {});
    expect(app.http.log.entries).toEqual([]);
    const other = await app.connect({ from: '127.0.0.2' });
    expect(await other.outcomes(1, 'say')).toEqual(['ok']);
  });

  it('accepts connections again after the wait', async () => {
    const clock = new ManualClock();
    const app = await start([LimitedGateway], { clock });
    for (const end of [false, false, true]) {
      const client = await app.connect();
      if (end) await client.ended();
      else await client.outcomes(1, 'say');
    }
    clock.advance(60_000);
    expect(await (await app.connect()).outcomes(1, 'say')).toEqual(['ok']);
  });

  it('hides a refused connection from the gateway: its start, its messages and its end', async () => {
    const app = await start([LimitedGateway]);
    const gateway = app.http.nest.get(LimitedGateway);
    const clients = [await app.connect(), await app.connect()];
    const refused = await app.connect();
    for (let message = 0; message < 10; message++) refused.send('say');
    await refused.ended();
    for (const client of clients) expect(await client.outcomes(1, 'say')).toEqual(['ok']);
    expect(refused.received.filter(({ event }) => event === 'answer')).toEqual([]);
    for (const client of clients) client.close();
    while (gateway.ended.length < 2) await new Promise(setImmediate);
    expect(gateway.connected).toHaveLength(2);
    expect(new Set(gateway.ended)).toEqual(new Set(gateway.connected));
  });

  it('holds messages until the store has responded', async () => {
    const server = new MapCasServer();
    const storage = new MapCasStorage(server, { clock: new ManualClock() });
    const app = await start([LimitedGateway], { limits: { storage, resilience: false } });
    const gateway = app.http.nest.get(LimitedGateway);
    let release: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    server.interfere = () => gate;
    const client = await app.connect();
    const answered = client.ask('say');
    while (server.calls.length === 0) await new Promise(setImmediate);
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
    expect([gateway.connected.length, client.received.length]).toEqual([0, 0]);
    release();
    expect(await answered).toEqual(answer());
    expect(gateway.connected).toHaveLength(1);
  });

  it('never shows the gateway a connection that ended before the store responded', async () => {
    const server = new MapCasServer();
    const storage = new MapCasStorage(server, { clock: new ManualClock() });
    const app = await start([LimitedGateway], { limits: { storage, resilience: false } });
    const gateway = app.http.nest.get(LimitedGateway);
    let release: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    server.interfere = () => gate;
    const gone = await app.connect();
    while (server.calls.length === 0) await new Promise(setImmediate);
    gone.close();
    const http = app.http.nest.getHttpServer() as Server;
    const open = (): Promise<number> => promisify<number>((callback) => http.getConnections(callback))();
    while ((await open()) > 0) await new Promise(setImmediate);
    release();
    expect(await (await app.connect()).outcomes(1, 'say')).toEqual(['ok']);
    const last = await app.connect();
    expect(await last.next()).toMatchObject({ event: 'exception' });
    await last.ended();
    expect([gateway.connected.length, gateway.ended.length]).toEqual([1, 0]);
  });

  it('closes a connection that cannot be counted, and gives the reason only in the log', async () => {
    const server = new MapCasServer();
    const storage = new MapCasStorage(server, { clock: new ManualClock() });
    const app = await start([LimitedGateway], { limits: { storage, resilience: false } });
    server.interfere = () => {
      throw new Error('the secret name of a server');
    };
    const client = await app.connect();
    expect(await client.next()).toEqual({
      event: 'exception',
      data: { status: 'error', message: 'Internal server error' },
    });
    expect(await client.ended()).toEqual(
      sockets === 'ws' ? { code: 1011, reason: 'Internal server error' } : {},
    );
    expect(app.http.log.errors).toEqual([
      expect.stringContaining('A connection was ended, because counting it failed:'),
    ]);
    expect(app.http.nest.get(LimitedGateway).connected).toEqual([]);
    server.interfere = () => undefined;
    expect(await (await app.connect()).outcomes(1, 'say')).toEqual(['ok']);
  });

  it('closes a connection while the store is down, if the application denies', async () => {
    const server = new MapCasServer();
    const storage = new MapCasStorage(server, { clock: new ManualClock() });
    const app = await start([LimitedGateway], { limits: { storage, resilience: { onError: 'deny' } } });
    server.interfere = () => {
      throw new Error('down');
    };
    const client = await app.connect();
    const message = 'Rate limits cannot be checked at the moment.';
    expect(await client.next()).toEqual({
      event: 'exception',
      data: { status: 'error', statusCode: 503, error: 'Service Unavailable', message },
    });
    expect(await client.ended()).toEqual(sockets === 'ws' ? { code: 1013, reason: message } : {});
  });

  it('counts by properties of the request that opens a connection', async () => {
    @WebSocketGateway()
    class KeyGateway {
      @RateLimit('1/minute', { key: 'api-key' })
      handleConnection() {
        return undefined;
      }

      @SubscribeMessage('say')
      say() {
        return answer();
      }
    }
    const app = await start([KeyGateway]);
    for (const key of ['a', 'b']) {
      const headers = { 'x-api-key': key };
      expect(await (await app.connect({ headers })).outcomes(1, 'say')).toEqual(['ok']);
      expect(await (await app.connect({ headers })).next()).toMatchObject({ event: 'exception' });
    }
  });

  it("sends the client the application's error of a refusal", async () => {
    const limits = { errorFactory: () => new WsException('Come back later. '.repeat(20)) };
    const app = await start([LimitedGateway], { limits });
    await app.connect();
    await app.connect();
    const refused = await app.connect();
    expect(await refused.next()).toEqual({
      event: 'exception',
      data: { status: 'error', message: 'Come back later. '.repeat(20) },
    });
    const reason = 'Come back later. '.repeat(20).slice(0, 123);
    expect(await refused.ended()).toEqual(sockets === 'ws' ? { code: 1013, reason } : {});
  });

  it('is known to the service by its route', async () => {
    const app = await start([LimitedGateway]);
    await (await app.connect()).outcomes(1, 'say');
    const limiter = app.http.nest.get(RateLimiterService);
    const peeked = limiter.peek({ policy: 'connections', route: 'ws-connection /' }, '127.0.0.1') as Decision;
    expect(peeked.remaining).toBe(1);
  });

  it('can be several, and can be inherited', async () => {
    @Injectable()
    class BaseGateway {
      @RateLimit('3/minute', { name: 'slow' })
      @RateLimit('1/second', { name: 'fast' })
      handleConnection(client: { emit(event: string, data: unknown): void; send(text: string): void }) {
        if (sockets === 'ws') client.send(JSON.stringify(answer()));
        else client.emit('answer', 'ok');
      }
    }
    @WebSocketGateway()
    class DerivedGateway extends BaseGateway {}
    const clock = new ManualClock();
    const app = await start([DerivedGateway], { clock });
    const seen: unknown[] = [];
    for (let connection = 0; connection < 5; connection++) {
      const { data } = await (await app.connect()).next();
      seen.push((data as { limit?: { name: string } }).limit?.name ?? data);
      if (connection > 0) clock.advance(1000);
    }
    expect(seen).toEqual(['ok', 'fast', 'ok', 'ok', 'slow']);
  });

  it('stops the start if it is invalid', async () => {
    @WebSocketGateway()
    class WrongGateway {
      @RateLimit('often')
      handleConnection() {
        return undefined;
      }
    }
    await expect(start([WrongGateway])).rejects.toThrow('@RateLimit on WrongGateway.handleConnection');
  });

  it('works for a request-scoped gateway', async () => {
    let made = 0;
    @WebSocketGateway()
    @Injectable({ scope: Scope.REQUEST })
    class ScopedGateway {
      readonly number = ++made;

      @RateLimit('2/minute', { name: 'connections' })
      handleConnection() {
        return undefined;
      }

      @SubscribeMessage('say')
      @RateLimit('3/minute')
      say(@RateLimitInfo() decision?: Decision) {
        return answer(decision?.remaining);
      }
    }
    const app = await start([ScopedGateway]);
    expect(await (await app.connect()).outcomes(1, 'say')).toEqual([2]);
    expect(await (await app.connect()).outcomes(3, 'say')).toEqual([1, 0, 'refused']);
    expect(await (await app.connect()).next()).toEqual({ event: 'exception', data: refusal });
    expect(made).toBeGreaterThan(1);
  });

  it('keeps a connection from all gateways on the same server', async () => {
    @WebSocketGateway()
    class OtherGateway {
      @SubscribeMessage('other')
      other() {
        return answer();
      }
    }
    const app = await start([OtherGateway, LimitedGateway]);
    for (let connection = 0; connection < 2; connection++)
      expect(await (await app.connect()).outcomes(1, 'other')).toEqual(['ok']);
    const refused = await app.connect();
    for (let message = 0; message < 10; message++) refused.send('other');
    await refused.ended();
    expect(refused.received.filter(({ event }) => event === 'answer')).toEqual([]);
  });

  it('does not limit a gateway that is created by hand', () => {
    const gateway = new LimitedGateway();
    for (let connection = 0; connection < 3; connection++) gateway.handleConnection({});
    gateway.handleDisconnect({});
    expect([gateway.connected.length, gateway.ended.length]).toEqual([3, 1]);
  });
});

@Injectable()
class TokenGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const client = context.switchToWs().getClient<{ user?: object }>();
    client.user = { id: context.switchToWs().getData<{ token: string }>().token };
    return true;
  }
}

describeOverHttp("A controller's method called handleConnection", (start) => {
  it('is a route like any other', async () => {
    @Controller()
    class CablesController {
      @Get('cables/:id')
      @RateLimit('2/minute')
      handleConnection(@Param('id') id: string, @RateLimitInfo() decision?: Decision) {
        return { id, remaining: decision?.remaining };
      }
    }
    const app = await start(limited([CablesController]));
    expect((await app.get('/cables/1')).body).toEqual({ id: '1', remaining: 1 });
    expect(await app.statuses(2, '/cables/2')).toEqual([200, 429]);
  });
});

describeOverWebSockets('Without the guard of the module', (start) => {
  const guardless = { limits: { guard: false } };

  it('no message is limited', async () => {
    const client = await (await start([ChatGateway], guardless)).connect();
    expect(await client.outcomes(5, 'say')).toEqual(new Array(5).fill('ok'));
  });

  it('messages are limited where RateLimitGuard is bound', async () => {
    const module = { providers: [{ provide: APP_GUARD, useExisting: RateLimitGuard }] };
    const client = await (await start([ChatGateway], { ...guardless, module })).connect();
    expect(await client.outcomes(4, 'say')).toEqual(['ok', 'ok', 'ok', 'refused']);
  });

  it('messages are limited by the user that a guard before it set', async () => {
    @WebSocketGateway()
    class GuardedGateway {
      @SubscribeMessage('say')
      @UseGuards(TokenGuard, RateLimitGuard)
      @RateLimit('1/minute', { key: 'user', phase: 'afterAuth' })
      say(@ConnectedSocket() client: { user: { id: string } }) {
        return answer(client.user.id);
      }
    }
    const client = await (await start([GuardedGateway], guardless)).connect();
    expect(await client.outcomes(1, 'say', { token: 'a' })).toEqual(['a']);
    expect(await client.outcomes(2, 'say', { token: 'b' })).toEqual(['b', 'refused']);
    expect(await client.outcomes(1, 'say', { token: 'a' })).toEqual(['refused']);
  });
});

describeOverWebSockets('Two gateways at one place', (start) => {
  @WebSocketGateway()
  @RateLimit('4/minute', { name: 'class' })
  class FirstGateway {
    readonly connections: unknown[] = [];

    @RateLimit('10/minute')
    handleConnection(connection: unknown) {
      this.connections.push(connection);
    }

    @SubscribeMessage('say')
    @RateLimit('2/minute')
    say() {
      return answer('first');
    }
  }
  @WebSocketGateway()
  @RateLimit('4/minute', { name: 'class' })
  class SecondGateway extends FirstGateway {
    @SubscribeMessage('hear')
    @RateLimit('2/minute')
    hear() {
      return answer('second');
    }
  }
  const gateways = [FirstGateway, SecondGateway];

  it('count connections apart', async () => {
    @WebSocketGateway()
    class OneGateway {
      connections = 0;

      @RateLimit('10/minute')
      handleConnection() {
        this.connections++;
      }
    }
    @WebSocketGateway()
    class OtherGateway {
      connections = 0;

      @RateLimit('10/minute')
      handleConnection() {
        this.connections++;
      }
    }
    const app = await start([OneGateway, OtherGateway]);
    for (let connection = 0; connection < 10; connection++) await app.connect();
    expect(app.http.nest.get(OneGateway).connections).toBe(10);
    expect(app.http.nest.get(OtherGateway).connections).toBe(10);
  });

  it('count messages apart, each handler by itself and each gateway by itself', async () => {
    const app = await start(gateways);
    await (await app.connect()).ask('hear');
    const limiter = app.http.nest.get(RateLimiterService);
    const remaining = (policy: string, route: string): number =>
      (limiter.peek({ policy, route }, '127.0.0.1') as Decision).remaining;
    expect(remaining('default', 'ws / hear')).toBe(1);
    expect(remaining('class', 'ws / say')).toBe(3); // the connection
    expect(remaining('class', 'ws / say #2')).toBe(2); // the connection and the message
    expect(remaining('default', 'ws-connection /')).toBe(9);
    expect(remaining('default', 'ws-connection / #2')).toBe(9);
  });
});
