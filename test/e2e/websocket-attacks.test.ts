import { setImmediate, setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  createParamDecorator,
  UseGuards,
  UseInterceptors,
  UsePipes,
  type ExecutionContext,
} from '@nestjs/common';
import { MessageBody, SubscribeMessage, WebSocketGateway, WsException } from '@nestjs/websockets';
import { RateLimit, RateLimitInterceptor } from 'nestjs-limits';
import { io, type ManagerOptions, type Socket as IoSocket, type SocketOptions } from 'socket.io-client';
import { WebSocket } from 'ws';
import {
  expectRuns,
  limited,
  LIMIT,
  refusingPipe,
  repeat,
  RunCounter,
  wantedRuns,
  type Attack,
} from '../support/attacks.js';
import { Attacker, frame, untilQuiet, watchProcess } from '../support/attacker.js';
import { startWsApp, webSockets, type WebSockets, type WsApp } from '../support/ws-app.js';

interface Connection {
  readonly handshake?: { readonly address: string };
  readonly _socket?: { readonly remoteAddress: string };
}

const addressOf = ({ handshake, _socket }: Connection): string | undefined =>
  handshake?.address ?? _socket?.remoteAddress;

const runs = new RunCounter((context) => addressOf(context.switchToWs().getClient<Connection>()));
const { Run } = runs;

const CountWrong = createParamDecorator((_data: unknown, context: ExecutionContext) => {
  if (context.switchToWs().getData<string>() !== 'right') runs.add(context);
});

const refuse = (): Error => new WsException('refused');

@WebSocketGateway()
class MessageGateway {
  @SubscribeMessage('say')
  @RateLimit(limited)
  say(@Run() _run: unknown, @MessageBody() data: unknown) {
    return { event: 'said', data: typeof data };
  }

  @SubscribeMessage('later')
  @RateLimit(limited)
  async later(@Run() _run: unknown) {
    return Promise.resolve({ event: 'said', data: 'later' });
  }

  @SubscribeMessage('first')
  @RateLimit(limited, { name: 'both', scope: 'controller' })
  first(@Run() _run: unknown) {
    return { event: 'said', data: 'first' };
  }

  @SubscribeMessage('second')
  @RateLimit(limited, { name: 'both', scope: 'controller' })
  second(@Run() _run: unknown) {
    return { event: 'said', data: 'second' };
  }

  @SubscribeMessage('room')
  @RateLimit(limited)
  room(@Run() _run: unknown) {
    return { event: 'said', data: 'room' };
  }

  @SubscribeMessage('login')
  @UseInterceptors(RateLimitInterceptor)
  @RateLimit(limited, { count: 'failure' })
  login(@CountWrong() _run: unknown, @MessageBody() password: unknown) {
    if (password === 'reject') return Promise.reject(new WsException('wrong'));
    if (password !== 'right') throw new WsException('wrong');
    return { event: 'said', data: 'welcome' };
  }

  @SubscribeMessage('guarded')
  @UseGuards(runs.falseGuard)
  @RateLimit(limited)
  guarded() {
    return undefined;
  }

  @SubscribeMessage('intercepted')
  @UseInterceptors(runs.refusingInterceptor(refuse))
  @RateLimit(limited)
  intercepted() {
    return undefined;
  }

  @SubscribeMessage('piped')
  @UseInterceptors(runs.interceptor)
  @UsePipes(refusingPipe(refuse))
  @RateLimit(limited)
  piped(@MessageBody() data: unknown) {
    return data;
  }

  @SubscribeMessage('costly')
  @RateLimit(limited, { cost: (context) => context.switchToWs().getData<number>() })
  costly(@Run() _run: unknown) {
    return undefined;
  }

  @SubscribeMessage('as')
  @RateLimit(limited, { name: 'user', key: ['ip', 'body:user'] })
  @RateLimit(limited, { name: 'address' })
  as(@Run() _run: unknown) {
    return undefined;
  }
}

/** Counts the connections that it gets. */
@WebSocketGateway({ path: '/limited' })
class ConnectionGateway {
  @RateLimit(limited, { name: 'connections' })
  handleConnection(connection: Connection) {
    runs.addFrom(addressOf(connection));
  }

  @SubscribeMessage('free')
  free() {
    return undefined;
  }
}

/** Counts the messages of the connections that it gets. */
@WebSocketGateway({ path: '/closed' })
class ClosedGateway {
  @RateLimit('0/hour')
  handleConnection() {
    return undefined;
  }

  @SubscribeMessage('say')
  say(@Run() _run: unknown) {
    return undefined;
  }
}

/** A client that sends what the library of its platform would not. */
class WsAttacker extends Attacker {
  readonly #open: { close(): unknown }[] = [];

  constructor(
    port: number,
    readonly sockets: WebSockets,
  ) {
    super(port);
  }

  /** Opens a connection by the platform's client. */
  async connect(
    path = '/',
    options: Partial<ManagerOptions & SocketOptions> = {},
    namespace = '',
  ): Promise<Client> {
    const client = this.sockets === 'ws' ? this.#plain(path) : this.#socketIo(path, options, namespace);
    await client.ready;
    return client;
  }

  #plain(path: string): Client {
    const socket = new WebSocket(`ws://127.0.0.1:${this.port}${path}`, { localAddress: this.address });
    this.#open.push({ close: () => socket.terminate() });
    socket.on('error', () => undefined);
    const ready = new Promise<void>((resolve) => {
      socket.once('open', () => resolve()).once('close', () => resolve());
    });
    return {
      ready,
      send: (event, data) => {
        if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ event, data }));
      },
      close: () => socket.terminate(),
    };
  }

  #socketIo(path: string, options: Partial<ManagerOptions & SocketOptions>, namespace: string): Client {
    const settings = {
      transports: ['websocket'],
      forceNew: true,
      reconnection: false,
      localAddress: this.address,
      path: path === '/' ? '/socket.io' : path,
      ...options,
    };
    const socket: IoSocket = io(`http://127.0.0.1:${this.port}${namespace}`, settings);
    this.#open.push(socket);
    const ready = new Promise<void>((resolve) => {
      socket.once('connect', () => resolve()).once('connect_error', () => resolve());
    });
    return {
      ready,
      send: (event, data) => void socket.emit(event, data),
      close: () => void socket.close(),
      io: socket,
    };
  }

  /** Opens a connection by hand, ready for messages. */
  async raw(path = '/'): Promise<RawClient> {
    if (this.sockets === 'ws') {
      const socket = await this.upgrade(path);
      return { socket, message: (event, data) => JSON.stringify({ event, data }) };
    }
    const place = path === '/' ? '/socket.io/' : `${path}/`;
    const socket = await this.upgrade(`${place}?EIO=4&transport=websocket`);
    socket.write(frame('40'));
    await setTimeout(20);
    return { socket, message: (event, data) => `42${JSON.stringify([event, data])}` };
  }

  /** Opens a session of long polling. Returns its path. */
  async session(place: string): Promise<string> {
    const path = `${place}?EIO=4&transport=polling`;
    const { text } = await this.send({ method: 'GET', path });
    return `${path}&sid=${(JSON.parse(text.slice(1)) as { sid: string }).sid}`;
  }

  /**
   * Connects by long polling.
   *
   * @param packets sent together with the request to connect
   */
  async poll(path = '/', packets: readonly string[] = []): Promise<(body: string) => Promise<unknown>> {
    const session = await this.session(path === '/' ? '/socket.io/' : `${path}/`);
    const headers = { 'content-type': 'text/plain;charset=UTF-8' };
    const post = (body: string): Promise<unknown> => this.send({ path: session, headers, body });
    await post(['40', ...packets].join('\u001e'));
    await this.send({ method: 'GET', path: session });
    return post;
  }

  override close(): void {
    super.close();
    for (const one of this.#open) one.close();
  }
}

interface Client {
  readonly ready: Promise<void>;
  readonly io?: IoSocket;
  send(event: string, data?: unknown): void;
  close(): void;
}

interface RawClient {
  readonly socket: Awaited<ReturnType<Attacker['open']>>;
  message(event: string, data: unknown): string;
}

type WsAttack = Attack<WsAttacker, WebSockets>;

/** Sends messages by one connection, at once. */
const sending =
  (count: number, event: string, dataOf: (index: number) => unknown = () => 'x') =>
  async (client: WsAttacker): Promise<void> => {
    const connection = await client.connect();
    for (let index = 0; index < count; index++) connection.send(event, dataOf(index));
  };

/** Sends frames by hand, each in a write of its own. */
const frames =
  (framesOf: (raw: RawClient) => readonly Buffer[]) =>
  async (client: WsAttacker): Promise<void> => {
    const raw = await client.raw();
    for (const one of framesOf(raw)) {
      raw.socket.write(one);
      await setImmediate();
    }
  };

const messages: WsAttack[] = [
  { name: 'a flood of messages', attempt: sending(50, 'say') },
  { name: 'a flood of 1000 messages', attempt: sending(1000, 'say') },
  { name: 'messages to a handler that answers later', attempt: sending(30, 'later') },
  {
    name: 'two events of one limit in turn',
    attempt: async (client) => {
      const connection = await client.connect();
      for (let index = 0; index < 20; index++) connection.send(index % 2 ? 'first' : 'second');
    },
  },
  ...(
    [
      ['texts', (index: number) => `text ${index}`],
      ['numbers', (index: number) => index],
      ['null', () => null],
      ['booleans', () => true],
      ['objects', (index: number) => ({ index })],
      ['the same object', () => ({ same: true })],
      ['lists', (index: number) => [index, index]],
      ['empty lists', () => []],
      ['deep objects', () => repeat(500, () => 0).reduce<object>((inner) => ({ inner }), {})],
      ['long texts', () => 'x'.repeat(20_000)],
      ['__proto__', () => JSON.parse('{"__proto__":{"x":1},"constructor":1}') as object],
      ['frozen-looking data', () => ({ toString: 1, then: 1, length: -1 })],
      ['surrogates', () => '\ud800\udfff\u0000'],
    ] as const
  ).map(([kind, dataOf]): WsAttack => ({ name: `messages of ${kind}`, attempt: sending(12, 'say', dataOf) })),
  { name: 'messages without data', attempt: sending(12, 'say', () => undefined) },
  {
    name: 'several connections',
    attempt: async (client) => {
      for (const connection of await Promise.all(repeat(6, () => client.connect())))
        for (let index = 0; index < 3; index++) connection.send('say', index);
    },
  },
  {
    name: 'a new connection for each message',
    runs: -1,
    attempt: async (client) => {
      for (let index = 0; index < 8; index++) {
        const connection = await client.connect();
        connection.send('say', index);
        await setTimeout(10);
        connection.close();
      }
    },
  },
  {
    name: 'hanging up after messages',
    runs: -1,
    attempt: async (client) => {
      const connection = await client.connect();
      for (let index = 0; index < 20; index++) connection.send('say', index);
      await setTimeout(20);
      connection.close();
    },
  },
  { name: 'unknown events', runs: 0, attempt: sending(200, 'nothing') },
  {
    name: 'unknown events among others',
    attempt: async (client) => {
      const connection = await client.connect();
      for (let index = 0; index < 60; index++) connection.send(index % 3 ? `nothing${index}` : 'say', index);
    },
  },
  ...[
    'SAY',
    'say ',
    ' say',
    'say\u0000',
    'sаy',
    'constructor',
    '__proto__',
    'toString',
    'hasOwnProperty',
    '',
  ].map((event): WsAttack => ({
    name: `the event ${JSON.stringify(event)}`,
    runs: 0,
    attempt: sending(12, event),
  })),
  ...['guarded', 'intercepted', 'piped'].map((event): WsAttack => ({
    name: `messages that a later one refuses: ${event}`,
    attempt: sending(20, event),
  })),
  { name: 'wrong guesses', attempt: sending(20, 'login', () => 'wrong') },
  { name: 'wrong guesses that end later', attempt: sending(20, 'login', () => 'reject') },
  { name: 'wrong guesses of objects', attempt: sending(20, 'login', (index) => ({ index })) },
  {
    name: 'wrong guesses between right ones',
    attempt: async (client) => {
      const connection = await client.connect();
      for (let index = 0; index < 30; index++) {
        connection.send('login', index % 2 ? 'wrong' : 'right');
        await setTimeout(3);
      }
    },
  },
  {
    name: 'wrong guesses between right ones, at once',
    runs: -1,
    attempt: sending(40, 'login', (index) => (index % 2 ? 'wrong' : 'right')),
  },
  {
    name: 'wrong guesses, hanging up after each',
    runs: -1,
    attempt: async (client) => {
      for (let index = 0; index < 6; index++) {
        const connection = await client.connect();
        connection.send('login', 'reject');
        await setTimeout(10);
        connection.close();
      }
    },
  },
  ...(
    [
      ['a negative cost', -5, 0],
      ['a cost that is a text', '1', 0],
      ['no cost', undefined, 0],
      ['a fraction as cost', 0.5, 0],
      ['a cost above the limit', 1e9, 0],
      ['a cost that takes all', LIMIT, 1],
      ['a cost of 1', 1, LIMIT],
      ['an infinite cost', 1e999, 0],
      ['an object as cost', { valueOf: 1 }, 0],
    ] as const
  ).map(([name, cost, wanted]): WsAttack => ({
    name,
    runs: wanted,
    attempt: sending(10, 'costly', () => cost),
  })),
  { name: 'another user of each message', attempt: sending(12, 'as', (index) => ({ user: `u${index}` })) },
  { name: 'users that are no texts', attempt: sending(12, 'as', (index) => ({ user: [index] })) },
  { name: 'no user', attempt: sending(12, 'as', () => 'x') },
];

const byHand: WsAttack[] = [
  {
    name: 'frames in one write',
    attempt: frames(({ message }) => [Buffer.concat(repeat(20, (index) => frame(message('say', index))))]),
  },
  {
    name: 'a frame for each byte',
    attempt: frames(({ message }) =>
      repeat(6, (index) => Buffer.from(message('say', index))).flatMap((text) =>
        [...text].map((byte, at) =>
          frame(Buffer.from([byte]), { opcode: at === 0 ? 1 : 0, isLast: at === text.length - 1 }),
        ),
      ),
    ),
  },
  {
    name: 'bytes one by one',
    attempt: frames(({ message }) =>
      [...Buffer.concat(repeat(5, (index) => frame(message('say', index))))].map((byte) =>
        Buffer.from([byte]),
      ),
    ),
  },
  {
    name: 'binary frames',
    runs: (sockets) => (sockets === 'ws' ? LIMIT : 0),
    attempt: frames(({ message }) => repeat(12, (index) => frame(message('say', index), { opcode: 2 }))),
  },
  {
    name: 'pings between messages',
    attempt: frames(({ message }) =>
      repeat(12, (index) => Buffer.concat([frame('', { opcode: 9 }), frame(message('say', index))])),
    ),
  },
  { name: 'a flood of pings', runs: 0, attempt: frames(() => repeat(500, () => frame('x', { opcode: 9 }))) },
  { name: 'a flood of pongs', runs: 0, attempt: frames(() => repeat(500, () => frame('', { opcode: 10 }))) },
  { name: 'empty frames', runs: 0, attempt: frames(() => repeat(100, () => frame(''))) },
  { name: 'no JSON', runs: 0, attempt: frames(() => repeat(30, () => frame('{'))) },
  ...[
    'null',
    '0',
    '[]',
    '"say"',
    '{}',
    '{"event":null}',
    '{"event":["say"]}',
    '{"event":{"toString":"say"}}',
    '42',
    '42[]',
    '42["say"',
    '42[null]',
    '42{"0":"say"}',
    '43[]',
    '45-["say",{"_placeholder":true,"num":0}]',
    '451-["say",{"_placeholder":true,"num":5}]',
    '4',
    '40/none,',
    '41',
    '44',
    '2',
    '3',
    '5',
    '6',
    '1',
    'b',
    '40{"a":1}',
    '46',
    '49',
    '420["say",1,',
    '42/admin,["say",1]',
  ].map((text): WsAttack => ({
    name: `the text ${text}`,
    runs: 0,
    attempt: frames(() => repeat(9, () => frame(text))),
  })),
  {
    name: 'an event twice in a message',
    runs: (sockets) => (sockets === 'ws' ? LIMIT : 0),
    attempt: frames(() => repeat(9, () => frame('{"event":"nothing","event":"say","data":1}'))),
  },
  {
    name: 'frames without a mask',
    runs: 0,
    attempt: frames(({ message }) => repeat(9, () => frame(message('say', 1), { isMasked: false }))),
  },
  {
    name: 'reserved bits',
    runs: 0,
    attempt: frames(({ message }) => repeat(9, () => frame(message('say', 1), { reserved: 4 }))),
  },
  {
    name: 'an unknown opcode',
    runs: 0,
    attempt: frames(({ message }) => repeat(9, () => frame(message('say', 1), { opcode: 5 }))),
  },
  {
    name: 'a frame that goes on with nothing',
    runs: 0,
    attempt: frames(({ message }) => [frame(message('say', 1), { opcode: 0 })]),
  },
  {
    name: 'a message that never ends',
    runs: 0,
    attempt: frames(({ message }) =>
      repeat(30, (index) => frame(message('say', 1), { opcode: index === 0 ? 1 : 0, isLast: false })),
    ),
  },
  {
    name: 'a length that never comes',
    runs: 0,
    attempt: frames(() => [Buffer.from([0x81, 0xff, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff])]),
  },
  {
    name: 'a length beyond all numbers',
    runs: 0,
    attempt: frames(() => [Buffer.from([0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])]),
  },
  { name: 'text that is no UTF-8', runs: 0, attempt: frames(() => [frame(Buffer.from([0xc3, 0x28, 0xff]))]) },
  {
    name: 'a close frame, then messages',
    runs: 0,
    attempt: frames(({ message }) => [
      frame(Buffer.from([0x03, 0xe8]), { opcode: 8 }),
      ...repeat(9, () => frame(message('say', 1))),
    ]),
  },
  {
    name: 'an invalid close code',
    runs: 0,
    attempt: frames(() => [frame(Buffer.from([0, 1]), { opcode: 8 })]),
  },
  {
    name: 'messages, then a half-open socket',
    attempt: async (client) => {
      const { socket, message } = await client.raw();
      socket.write(Buffer.concat(repeat(9, (index) => frame(message('say', index)))));
      socket.end();
    },
  },
  {
    name: 'messages, then a reset',
    runs: -1,
    attempt: async (client) => {
      const { socket, message } = await client.raw();
      socket.write(Buffer.concat(repeat(9, (index) => frame(message('say', index)))));
      await setTimeout(5);
      socket.resetAndDestroy();
    },
  },
  {
    name: 'a client that never reads',
    attempt: async (client) => {
      const { socket, message } = await client.raw();
      socket.pause();
      for (let index = 0; index < 300; index++) socket.write(frame(message('say', 'x'.repeat(1000))));
    },
  },
  {
    name: 'an upgrade that ends in the middle',
    runs: 0,
    attempt: async (client) => {
      const socket = await client.open();
      socket.write('GET / HTTP/1.1\r\nUpgrade: websocket\r\nConn');
      socket.destroy();
    },
  },
  {
    name: 'an upgrade without a key',
    runs: 0,
    attempt: (client) => client.upgrade('/', { 'Sec-WebSocket-Key': 'x' }),
  },
  {
    name: 'an upgrade of another version',
    runs: 0,
    attempt: (client) => client.upgrade('/', { 'Sec-WebSocket-Version': '1' }),
  },
  {
    name: 'an upgrade of another path',
    runs: 0,
    attempt: (client) => Promise.all(['/none', '//', '/%00', '/..'].map((path) => client.upgrade(path))),
  },
  ...['x-forwarded-for', 'x-real-ip', 'forwarded', 'cf-connecting-ip'].map((header): WsAttack => ({
    name: `connections with the header ${header}`,
    attempt: async (client) => {
      for (let index = 0; index < 6; index++) {
        const socket = await client.upgrade(
          client.sockets === 'ws' ? '/' : '/socket.io/?EIO=4&transport=websocket',
          { [header]: `192.0.2.${index}` },
        );
        if (client.sockets !== 'ws') {
          socket.write(frame('40'));
          await setTimeout(20);
        }
        socket.write(frame(client.sockets === 'ws' ? '{"event":"say"}' : '42["say",1]'));
      }
    },
  })),
];

const connections: WsAttack[] = [
  {
    name: 'connections one after the other',
    attempt: async (client) => {
      for (let index = 0; index < 8; index++) await client.connect('/limited');
    },
  },
  {
    name: 'connections at once',
    attempt: (client) => Promise.all(repeat(20, () => client.connect('/limited'))),
  },
  {
    name: 'reconnecting',
    attempt: async (client) => {
      for (let index = 0; index < 8; index++) (await client.connect('/limited')).close();
    },
  },
  {
    name: 'connections with messages',
    attempt: async (client) => {
      for (let index = 0; index < 8; index++) (await client.connect('/limited')).send('free');
    },
  },
  {
    name: 'connections that end at once',
    runs: -1,
    attempt: async (client) => {
      for (let index = 0; index < 8; index++) (await client.raw('/limited')).socket.resetAndDestroy();
    },
  },
  {
    name: 'half-open connections',
    attempt: async (client) => {
      for (let index = 0; index < 8; index++) (await client.raw('/limited')).socket.end();
    },
  },
  {
    name: 'connections that never read',
    attempt: async (client) => {
      for (let index = 0; index < 8; index++) (await client.raw('/limited')).socket.pause();
    },
  },
  {
    name: 'messages of a refused connection',
    runs: 0,
    attempt: async (client) => {
      const connection = await client.connect('/closed');
      for (let index = 0; index < 30; index++) connection.send('say', index);
    },
  },
  {
    name: 'messages of a refused connection in its first packet',
    runs: 0,
    attempt: async (client) => {
      const { socket, message } = await client.raw('/closed');
      socket.write(Buffer.concat(repeat(30, (index) => frame(message('say', index)))));
    },
  },
  {
    name: 'messages of a refused connection that ignores the close frame',
    runs: 0,
    attempt: async (client) => {
      const { socket, message } = await client.raw('/closed');
      for (let index = 0; index < 30; index++) {
        socket.write(frame(message('say', index)));
        await setImmediate();
      }
    },
  },
  {
    name: 'connections to different queries',
    attempt: async (client) => {
      for (let index = 0; index < 8; index++)
        await (client.sockets === 'ws'
          ? client.upgrade(`/limited?v=${index}`)
          : client.connect('/limited', { query: { v: String(index) } }));
    },
  },
];

/** Only Socket.IO has acknowledgements, namespaces, binary packets and polling. */
const socketIoOnly: WsAttack[] = [
  {
    name: 'acknowledgements',
    attempt: async (client) => {
      const { io: socket } = await client.connect();
      for (let index = 0; index < 20; index++) socket?.emit('say', index, () => undefined);
    },
  },
  {
    name: 'several arguments',
    attempt: async (client) => {
      const { io: socket } = await client.connect();
      for (let index = 0; index < 20; index++) socket?.emit('say', index, index, index);
    },
  },
  {
    name: 'volatile messages',
    runs: -1, // the client drops some
    attempt: async (client) => {
      const { io: socket } = await client.connect();
      for (let index = 0; index < 20; index++) socket?.volatile.emit('say', index);
    },
  },
  {
    name: 'compressed messages',
    attempt: async (client) => {
      const { io: socket } = await client.connect();
      for (let index = 0; index < 20; index++) socket?.compress(true).emit('say', 'x'.repeat(3000));
    },
  },
  {
    name: 'binary data',
    attempt: async (client) => {
      const { io: socket } = await client.connect();
      for (let index = 0; index < 20; index++)
        socket?.emit('say', Buffer.from([index]), { inner: Buffer.from('x') });
    },
  },
  {
    name: 'long polling',
    attempt: async (client) => {
      const post = await client.poll();
      for (let index = 0; index < 8; index++) await post(`42["say",${index}]`);
    },
  },
  {
    name: 'many messages in one poll',
    attempt: async (client) => {
      const post = await client.poll();
      await post(repeat(20, (index) => `42["say",${index}]`).join('\u001e'));
    },
  },
  {
    name: 'connections by long polling',
    attempt: async (client) => {
      for (let index = 0; index < 8; index++) await client.poll('/limited');
    },
  },
  {
    name: 'messages of a refused connection by long polling',
    runs: 0,
    attempt: async (client) => {
      const post = await client.poll('/closed');
      for (let index = 0; index < 8; index++) await post(`42["say",${index}]`);
    },
  },
  {
    name: 'a connection in one poll with its messages',
    runs: -1, // messages before the connection are dropped
    attempt: async (client) => {
      const post = await client.poll(
        '/',
        repeat(9, (index) => `42["say",${index}]`),
      );
      await post('2');
    },
  },
  {
    name: 'the session of another client',
    runs: 0,
    attempt: async (client) => {
      const other = new WsAttacker(client.port, 'socket.io');
      const session = await other.session('/socket.io/');
      await client.send({ path: session, headers: { 'content-type': 'text/plain' }, body: '40' });
      for (let index = 0; index < 8; index++)
        await client.send({ path: session, headers: { 'content-type': 'text/plain' }, body: '42["say",1]' });
      expect(runs.from(other.address)).toBeLessThanOrEqual(LIMIT);
    },
  },
  {
    name: 'an unknown namespace',
    runs: 0,
    attempt: async (client) => {
      const connection = await client.connect('/', {}, '/none');
      connection.send('say', 1);
    },
  },
  {
    name: 'disconnecting and connecting the same client',
    runs: -1,
    attempt: async (client) => {
      const { io: socket } = await client.connect();
      for (let index = 0; index < 8; index++) {
        socket?.emit('say', index);
        await setTimeout(5);
        socket?.disconnect().connect();
      }
    },
  },
  {
    name: 'joining and leaving the namespace by hand',
    runs: -1,
    attempt: async (client) => {
      const { socket, message } = await client.raw();
      for (let index = 0; index < 6; index++) {
        socket.write(frame(message('say', index)));
        socket.write(frame('41'));
        await setTimeout(10);
        socket.write(frame('40'));
        await setTimeout(10);
      }
    },
  },
  {
    name: 'acknowledgements by hand',
    runs: 0,
    attempt: frames(() => repeat(9, (index) => frame(`43${index}[]`))),
  },
  {
    name: 'acknowledgement ids by hand',
    attempt: frames(() => repeat(9, (index) => frame(`42${index}["say",1]`))),
  },
];

const attacks = [...messages, ...byHand, ...connections];

describe.each(webSockets)('A client by %s', (sockets) => {
  let app: WsApp;
  let port: number;
  const watch = watchProcess();

  beforeAll(async () => {
    app = await startWsApp(sockets, [MessageGateway, ConnectionGateway, ClosedGateway]);
    port = Number(new URL(await app.http.nest.getUrl()).port);
  });

  afterAll(async () => {
    watch.stop();
    await app.close();
  });

  it.each(
    [...attacks, ...(sockets === 'socket.io' ? socketIoOnly : [])].map(
      (attack) => [attack.name, attack] as const,
    ),
  )('gets no more than its limit by %s', async (_name, attack) => {
    const client = new WsAttacker(port, sockets);
    await attack.attempt(client);
    const wanted = wantedRuns(attack, sockets);
    for (let turn = 0; turn < 400 && runs.from(client.address) < wanted; turn++) await setTimeout(1);
    await untilQuiet(() => runs.from(client.address), 10);
    const counted = runs.from(client.address);
    client.close();
    expectRuns(counted, wanted);
    expect(watch.failures).toEqual([]);
    const other = new WsAttacker(port, sockets);
    (await other.connect()).send('say', 1);
    while (runs.from(other.address) < 1) await setTimeout(1);
    other.close();
  });
});
