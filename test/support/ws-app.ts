import { once } from 'node:events';
import { afterEach, describe } from '@jest/globals';
import type { ModuleMetadata, Provider } from '@nestjs/common';
import { IoAdapter } from '@nestjs/platform-socket.io';
import { WsAdapter } from '@nestjs/platform-ws';
import { MemoryStorage, RateLimitModule, type RateLimitModuleOptions } from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { io, type Socket } from 'socket.io-client';
import { WebSocket } from 'ws';
import { startHttpApp, type HttpApp, type HttpAppOptions } from './http-app.js';

/** The WebSocket platforms of Nest. The tests expect the same of both. */
export const webSockets = ['ws', 'socket.io'] as const;
export type WebSockets = (typeof webSockets)[number];

export interface Message {
  readonly event: string;
  readonly data: unknown;
}

export interface WsAppOptions extends HttpAppOptions {
  /** Options of the library's module. */
  limits?: RateLimitModuleOptions & { guard?: boolean };
  clock?: ManualClock;
  /** More metadata of the application's module. */
  module?: ModuleMetadata;
}

/** Starts an application with gateways. It is closed after the test. */
export type StartWsApp = (gateways: Provider[], options?: WsAppOptions) => Promise<WsApp>;

/** Describes a subject once per platform. */
export function describeOverWebSockets(
  subject: string,
  define: (start: StartWsApp, sockets: WebSockets) => void,
): void {
  describe.each(webSockets)(`${subject}, over %s`, (sockets) => {
    const running: WsApp[] = [];
    afterEach(async () => {
      await Promise.all(running.splice(0).map((app) => app.close()));
    });

    define(async (gateways, options = {}) => {
      const app = await startWsApp(sockets, gateways, options);
      running.push(app);
      return app;
    }, sockets);
  });
}

/** Starts an application on a platform. The caller closes it. */
export async function startWsApp(
  sockets: WebSockets,
  gateways: Provider[],
  { limits = {}, clock = new ManualClock(), module = {}, configure, ...options }: WsAppOptions = {},
): Promise<WsApp> {
  const metadata: ModuleMetadata = {
    ...module,
    imports: [
      RateLimitModule.forRoot({ storage: new MemoryStorage({ clock }), ...limits }),
      ...(module.imports ?? []),
    ],
    providers: [...gateways, ...(module.providers ?? [])],
  };
  const http = await startHttpApp('express', metadata, {
    ...options,
    configure: (app) => {
      app.useWebSocketAdapter(sockets === 'ws' ? new WsAdapter(app) : new IoAdapter(app));
      configure?.(app);
    },
  });
  return new WsApp(http, sockets);
}

/** An application with gateways, and its clients. */
export class WsApp {
  readonly #clients: WsClient[] = [];

  constructor(
    readonly http: HttpApp,
    private readonly sockets: WebSockets,
  ) {}

  /** A connection, open or refused. */
  async connect({ from = '127.0.0.1', headers = {} }: ConnectOptions = {}): Promise<WsClient> {
    const url = await this.http.nest.getUrl();
    const client =
      this.sockets === 'ws' ? new PlainClient(url, from, headers) : new SocketIoClient(url, from, headers);
    this.#clients.push(client);
    await client.settled;
    return client;
  }

  async close(): Promise<void> {
    for (const client of this.#clients) client.close();
    await this.http.close();
  }
}

export interface ConnectOptions {
  /** The address to come from. */
  from?: string;
  headers?: Record<string, string>;
}

/** A client of a gateway. */
export abstract class WsClient {
  readonly received: Message[] = [];
  /** The end of the connection; on `ws` with code and reason. */
  end: { code?: number; reason?: string } | undefined;
  abstract readonly settled: Promise<unknown>;
  #heard = 0;
  #wake: () => void = () => undefined;

  abstract send(event: string, ...data: unknown[]): void;
  abstract close(): void;

  /** Sends a message and waits for the next reply. */
  ask(event: string, ...data: unknown[]): Promise<Message> {
    this.send(event, ...data);
    return this.next();
  }

  /**
   * Sends a message several times, one after the other. Returns the data, or `'refused'`, of each.
   */
  async outcomes(count: number, event: string, ...data: unknown[]): Promise<unknown[]> {
    const outcomes: unknown[] = [];
    for (let message = 0; message < count; message++) {
      const { event: kind, data: answer } = await this.ask(event, ...data);
      const isRefusal = kind === 'exception' && (answer as { statusCode?: unknown }).statusCode === 429;
      outcomes.push(isRefusal ? 'refused' : answer);
    }
    return outcomes;
  }

  /** Returns the next message in the order of arrival. */
  async next(): Promise<Message> {
    for (;;) {
      const message = this.received[this.#heard];
      if (message !== undefined) {
        this.#heard++;
        return message;
      }
      await this.#change();
    }
  }

  /** Waits until the connection has ended. */
  async ended(): Promise<{ code?: number; reason?: string }> {
    while (this.end === undefined) await this.#change();
    return this.end;
  }

  protected receive(event: string, data: unknown): void {
    this.received.push({ event, data });
    this.#wake();
  }

  protected finish(end: { code?: number; reason?: string }): void {
    this.end = end;
    this.#wake();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

class PlainClient extends WsClient {
  readonly settled: Promise<unknown>;
  readonly #socket: WebSocket;

  constructor(url: string, from: string, headers: Record<string, string>) {
    super();
    this.#socket = new WebSocket(url.replace('http', 'ws'), { localAddress: from, headers });
    this.#socket.on('message', (text: Buffer) => {
      const { event, data } = JSON.parse(text.toString()) as Message;
      this.receive(event, data);
    });
    this.#socket.on('close', (code, reason) => this.finish({ code, reason: reason.toString() }));
    this.settled = once(this.#socket, 'open');
  }

  send(event: string, ...[data]: unknown[]): void {
    this.#socket.send(JSON.stringify({ event, data }));
  }

  close(): void {
    this.#socket.terminate();
  }
}

class SocketIoClient extends WsClient {
  readonly settled: Promise<unknown>;
  readonly #socket: Socket;

  constructor(url: string, localAddress: string, extraHeaders: Record<string, string>) {
    super();
    const options = { transports: ['websocket'], forceNew: true, reconnection: false, extraHeaders };
    this.#socket = io(url, Object.assign(options, { localAddress }));
    this.#socket.onAny((event: string, data: unknown) => this.receive(event, data));
    this.#socket.on('disconnect', () => this.finish({}));
    this.settled = new Promise((resolve, reject) => {
      this.#socket.on('connect', () => resolve(undefined));
      this.#socket.on('connect_error', reject);
    });
  }

  send(event: string, ...data: unknown[]): void {
    this.#socket.emit(event, ...data);
  }

  close(): void {
    this.#socket.disconnect();
  }
}
