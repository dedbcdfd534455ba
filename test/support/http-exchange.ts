import type { INestApplication, ModuleMetadata } from '@nestjs/common';
import type { AbstractHttpAdapter } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { Agent, request, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect, constants, type Http2ServerResponse } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { setImmediate as immediate } from 'node:timers/promises';
import { RecordingLogger } from './http-app.js';

/** One request; the test can observe each step. */
export interface Exchange {
  /** Resolves to the status once the header has arrived; never if there is none. */
  readonly status: Promise<number>;
  /** Resolves once a part of the body has arrived. */
  readonly firstData: Promise<void>;
  /** Resolves to the status once the whole response has arrived. */
  readonly end: Promise<number>;
  /** Resets the connection (HTTP/1.1) or the stream (HTTP/2). */
  reset(): void;
}

export interface Client {
  send(path: string, method?: string, headers?: Record<string, string>): Exchange;
  close(): void;
}

/** A server of Nest, and a client that speaks its protocol. */
export interface Protocol {
  readonly name: string;
  readonly isHttp2: boolean;
  makeAdapter(): AbstractHttpAdapter;
  connect(port: number): Client;
}

/**
 * Express does not run on node:http2: it replaces the prototypes of requests and responses by those
 * of HTTP/1.1.
 */
export const protocols: readonly Protocol[] = [
  {
    name: 'Express',
    isHttp2: false,
    makeAdapter: () => new ExpressAdapter() as AbstractHttpAdapter,
    connect: connectHttp1,
  },
  {
    name: 'Fastify',
    isHttp2: false,
    makeAdapter: () => new FastifyAdapter() as AbstractHttpAdapter,
    connect: connectHttp1,
  },
  {
    name: 'Fastify over HTTP/2',
    isHttp2: true,
    makeAdapter: () => new FastifyAdapter({ http2: true }) as AbstractHttpAdapter,
    connect: connectHttp2,
  },
];

/** Waits until a condition is true. Checks it after each turn of the event loop. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await immediate();
}

/** A listening application and a client of it. */
export class ServedApp {
  /** The connections that the server has accepted. */
  readonly connections: Socket[] = [];
  /** Requests that the server has received. */
  received = 0;
  /** Requests that are over for the server: answered, or aborted by their clients. */
  closed = 0;

  private constructor(
    readonly nest: INestApplication,
    readonly client: Client,
    readonly port: number,
    readonly log: RecordingLogger,
  ) {}

  /** @param configure prepares the application before it listens */
  static async start(
    protocol: Protocol,
    metadata: ModuleMetadata,
    configure?: (app: INestApplication) => void,
  ): Promise<ServedApp> {
    const log = new RecordingLogger();
    const module = await Test.createTestingModule(metadata).setLogger(log).compile();
    const nest = module.createNestApplication(protocol.makeAdapter());
    configure?.(nest);
    await nest.listen(0, '127.0.0.1');
    const server = nest.getHttpServer() as Server;
    const { port } = server.address() as AddressInfo;
    const app = new ServedApp(nest, protocol.connect(port), port, log);
    server.on('connection', (socket) => app.connections.push(socket));
    server.on('request', (_request: IncomingMessage, response: ServerResponse | Http2ServerResponse) => {
      app.received++;
      response.once('close', () => app.closed++);
    });
    return app;
  }

  /** Waits until a number of requests are over, and their outcomes settled. */
  async untilClosed(requests: number): Promise<void> {
    await until(() => this.closed >= requests);
    for (let turn = 0; turn < 5; turn++) await immediate();
  }

  async close(): Promise<void> {
    this.client.close();
    for (const socket of this.connections) socket.destroy();
    await this.nest.close();
  }
}

/** Sequential requests share a connection; concurrent ones have one each. */
function connectHttp1(port: number): Client {
  const agent = new Agent({ keepAlive: true });
  return {
    send(path, method = 'GET', headers = {}) {
      const sent = request({ host: '127.0.0.1', port, agent, path, method, headers });
      const exchange = new Promise<Answer>((resolve) => {
        sent.once('response', (body) => resolve({ status: body.statusCode ?? 0, body }));
        sent.once('upgrade', (body, socket) => {
          socket.destroy();
          resolve({ status: body.statusCode ?? 0, body });
        });
      });
      sent.on('error', () => undefined).end();
      return {
        ...stepsOf(exchange),
        reset: () => sent.socket?.resetAndDestroy(),
      };
    },
    close: () => agent.destroy(),
  };
}

function connectHttp2(port: number): Client {
  const session = connect(`http://127.0.0.1:${port}`).on('error', () => undefined);
  return {
    send(path, method = 'GET', headers = {}) {
      const stream = session.request({ ':path': path, ':method': method, ...headers });
      stream.on('error', () => undefined).end();
      const answer = new Promise<Answer>((resolve) => {
        stream.once('response', (header) => resolve({ status: header[':status'] ?? 0, body: stream }));
      });
      return { ...stepsOf(answer), reset: () => stream.close(constants.NGHTTP2_CANCEL) };
    },
    close: () => session.destroy(),
  };
}

interface Answer {
  readonly status: number;
  readonly body: Readable;
}

function stepsOf(answer: Promise<Answer>): Omit<Exchange, 'reset'> {
  const steps = answer.then(({ status, body }) => {
    body.on('error', () => undefined);
    return {
      status,
      firstData: new Promise<void>((resolve) => {
        body.once('data', () => resolve());
      }),
      end: new Promise<number>((resolve) => {
        body.once('end', () => resolve(status));
      }),
    };
  });
  return {
    status: answer.then(({ status }) => status),
    firstData: steps.then(({ firstData }) => firstData),
    end: steps.then(({ end }) => end),
  };
}
