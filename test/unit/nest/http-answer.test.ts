import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  Catch,
  Controller,
  Get,
  Head,
  HttpCode,
  HttpException,
  Injectable,
  Module,
  Res,
  Sse,
  StreamableFile,
  UseFilters,
  type ArgumentsHost,
  type CanActivate,
  type ExceptionFilter,
  type ExecutionContext,
} from '@nestjs/common';
import { APP_GUARD, HttpAdapterHost } from '@nestjs/core';
import type { RequestOutcome } from 'nestjs-limits';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { Readable } from 'node:stream';
import { setImmediate as immediate } from 'node:timers/promises';
import { concat, NEVER, of, type Observable } from 'rxjs';
import { onHttpAnswer } from '../../../lib/nest/transports/http-answer.js';
import { httpTransport } from '../../../lib/nest/transports/http.transport.js';
import { protocols, ServedApp, until, type Client, type Protocol } from '../../support/http-exchange.js';

/** A promise that the test resolves. */
class Signal {
  raise: () => void = () => undefined;
  readonly raised = new Promise<void>((resolve) => {
    this.raise = resolve;
  });
}

/** The steps of one test, and the outcomes it was told. */
class Stage {
  /** A handler, or a filter that answers in its place, is running. */
  readonly started = new Signal();
  /** What it waits for. */
  readonly gate = new Signal();
  /** By the path of the request. */
  readonly toldToMiddleware: [path: string, outcome: RequestOutcome][] = [];
  readonly toldToGuard: [path: string, outcome: RequestOutcome][] = [];
  /** The calls of the guard. */
  readonly guarded: ExecutionContext[] = [];

  async wait(): Promise<void> {
    this.started.raise();
    await this.gate.raised;
  }
}

let stage = new Stage();

interface AnyReply {
  readonly raw?: ServerResponse;
  hijack?(): void;
}

/** Takes a response out of the hands of Fastify. */
function rawOf(response: AnyReply): ServerResponse {
  response.hijack?.();
  return response.raw ?? (response as ServerResponse);
}

@Catch()
class LateFilter implements ExceptionFilter {
  constructor(private readonly host: HttpAdapterHost) {}

  async catch(_error: unknown, host: ArgumentsHost): Promise<void> {
    await stage.wait();
    this.host.httpAdapter.reply(host.getArgByIndex<object>(1), 'late', 422);
  }
}

@Injectable()
class AnswerGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const { url = '' } = httpTransport.requestOf(context);
    stage.guarded.push(context);
    httpTransport.onAnswer(context, (outcome) => stage.toldToGuard.push([url, outcome]));
    return true;
  }
}

@Controller()
class AnswersController {
  @Get('ok')
  ok() {
    return 'ok';
  }

  @Head('head')
  head() {
    return undefined;
  }

  @Get('bad')
  bad() {
    throw new HttpException('bad', 400);
  }

  @Get('broken')
  broken() {
    throw new Error('broken');
  }

  @Get('no-content')
  @HttpCode(204)
  noContent() {
    return undefined;
  }

  @Get('not-modified')
  @HttpCode(304)
  notModified() {
    return undefined;
  }

  @Get(['slow', 'timeout'])
  async slow() {
    await stage.wait();
    return 'slow';
  }

  @Get('never')
  never() {
    stage.started.raise();
    return new Signal().raised;
  }

  @Sse('events')
  events(): Observable<{ data: string }> {
    return concat(of({ data: 'one' }), NEVER);
  }

  @Sse('event')
  event(): Observable<{ data: string }> {
    return of({ data: 'one' });
  }

  @Get('file')
  file() {
    return new StreamableFile(endless());
  }

  @Get('chunks')
  chunks(@Res() response: AnyReply) {
    const raw = rawOf(response);
    raw.statusCode = 203;
    raw.write('one');
  }

  @Get('early-failure')
  earlyFailure(@Res() response: AnyReply) {
    const raw = rawOf(response);
    raw.statusCode = 500;
    raw.flushHeaders();
    raw.write('one');
  }

  @Get('upgrade')
  upgrade(@Res() response: AnyReply) {
    rawOf(response).writeHead(101, { Connection: 'Upgrade', Upgrade: 'echo' }).end();
  }

  @Get('late-filter')
  @UseFilters(LateFilter)
  lateFilter() {
    throw new Error('late');
  }
}

@Module({
  controllers: [AnswersController],
  providers: [{ provide: APP_GUARD, useClass: AnswerGuard }],
})
class AnswersModule {}

/** A stream that sends one part and then stays open. */
function endless(): Readable {
  const parts = ['one'];
  return new Readable({
    read() {
      const part = parts.shift();
      if (part !== undefined) this.push(part);
    },
  });
}

/** Listens before the guard does, and answers some requests itself. */
function middleware(request: IncomingMessage, response: ServerResponse, next: () => void): void {
  const { url = '' } = request;
  onHttpAnswer(response, (outcome) => stage.toldToMiddleware.push([url, outcome]));
  if (url === '/early') {
    response.statusCode = 418;
    response.end();
    return;
  }
  if (url === '/timeout')
    void stage.started.raised.then(() => {
      response.statusCode = 503;
      response.end();
    });
  next();
}

const answered = (statusCode: number): RequestOutcome => ({ success: statusCode < 400, statusCode });
const gaveUp: RequestOutcome = { success: false, aborted: true };

/** Waits until every listener has been told of so many requests, then for what else might come. */
async function toldOf(requests: number, reachesGuard = true): Promise<void> {
  const isMissing = (): boolean =>
    stage.toldToMiddleware.length < requests || (reachesGuard && stage.toldToGuard.length < requests);
  await until(() => !isMissing());
  stage.gate.raise();
  for (let turn = 0; turn < 20; turn++) await immediate();
}

async function guardCalls(requests: number): Promise<void> {
  await until(() => stage.guarded.length >= requests);
}

/** Waits for an answer that arrives in full. */
const read =
  (path: string, method?: string) =>
  async (client: Client): Promise<unknown> =>
    client.send(path, method).end;

/** Leaves while the handler runs. */
const leaveBeforeHeader =
  (path: string) =>
  async (client: Client): Promise<void> => {
    const exchange = client.send(path);
    await stage.started.raised;
    exchange.reset();
  };

/** Leaves after a part of the body. */
const leaveAfterData =
  (path: string) =>
  async (client: Client): Promise<void> => {
    const exchange = client.send(path);
    await exchange.firstData;
    exchange.reset();
  };

/** Lets the handler go on and reads what it answers. */
const readLate =
  (path: string) =>
  async (client: Client): Promise<void> => {
    const exchange = client.send(path);
    await stage.started.raised;
    stage.gate.raise();
    await exchange.end;
  };

type Case = readonly [
  subject: string,
  path: string,
  act: (client: Client) => Promise<unknown>,
  outcome: RequestOutcome,
];

const cases: readonly Case[] = [
  ['a success', '/ok', read('/ok'), answered(200)],
  ['a refusal', '/bad', read('/bad'), answered(400)],
  ['an error', '/broken', read('/broken'), answered(500)],
  ['HEAD', '/head', read('/head', 'HEAD'), answered(200)],
  ['HEAD to a route of GET', '/ok', read('/ok', 'HEAD'), answered(200)],
  ['an answer without content', '/no-content', read('/no-content'), answered(204)],
  ['an answer that nothing has changed', '/not-modified', read('/not-modified'), answered(304)],
  ['a route that does not exist', '/nowhere', read('/nowhere'), answered(404)],
  ['a slow handler', '/slow', readLate('/slow'), answered(200)],
  ['an exception filter that answers late', '/late-filter', readLate('/late-filter'), answered(422)],
  ['events that the server ends', '/event', read('/event'), answered(200)],
  ['a middleware that answers first', '/early', read('/early'), answered(418)],
  ['a middleware that answers while the handler runs', '/timeout', read('/timeout'), answered(503)],
  ['a client that leaves while the handler runs', '/slow', leaveBeforeHeader('/slow'), gaveUp],
  ['a client that leaves a handler that never answers', '/never', leaveBeforeHeader('/never'), gaveUp],
  [
    'a client that leaves while an exception filter runs',
    '/late-filter',
    leaveBeforeHeader('/late-filter'),
    gaveUp,
  ],
  ['a client that leaves after one event', '/events', leaveAfterData('/events'), answered(200)],
  ['a client that cancels a download', '/file', leaveAfterData('/file'), answered(200)],
  ['a client that leaves a chunked answer', '/chunks', leaveAfterData('/chunks'), answered(203)],
  ['a client that leaves a chunked error', '/early-failure', leaveAfterData('/early-failure'), answered(500)],
];

/** Requests that only the middleware sees. */
const withoutGuard = ['/early', '/nowhere'];

/** Starts an application before each test. */
function serve(protocol: Protocol): () => ServedApp {
  let app: ServedApp;

  beforeEach(async () => {
    stage = new Stage();
    app = await ServedApp.start(protocol, { imports: [AnswersModule] }, (nest) => nest.use(middleware));
  });

  afterEach(async () => {
    stage.gate.raise();
    await app.close();
  });

  return () => app;
}

describe.each(protocols)('The outcome of a request, on $name', (protocol) => {
  const { isHttp2 } = protocol;
  const served = serve(protocol);

  it.each(cases)('is told once: %s', async (_subject, path, act, outcome) => {
    const reachesGuard = !withoutGuard.includes(path);
    await act(served().client);
    await toldOf(1, reachesGuard);
    expect(stage.toldToMiddleware).toEqual([[path, outcome]]);
    expect(stage.toldToGuard).toEqual(reachesGuard ? [[path, outcome]] : []);
  });

  it('is told once for each of several requests on one connection', async () => {
    for (const path of ['/ok', '/bad', '/broken', '/no-content']) await served().client.send(path).end;
    await toldOf(4);
    expect(served().connections).toHaveLength(1);
    const expected = [
      ['/ok', answered(200)],
      ['/bad', answered(400)],
      ['/broken', answered(500)],
      ['/no-content', answered(204)],
    ];
    expect(stage.toldToMiddleware).toEqual(expected);
    expect(stage.toldToGuard).toEqual(expected);
  });

  it('is told for each request of a connection that breaks', async () => {
    const requests = isHttp2 ? 15 : 1;
    for (let request = 0; request < requests; request++) served().client.send('/slow');
    await guardCalls(requests);
    served().client.close();
    await toldOf(requests);
    const expected = Array.from({ length: requests }, () => ['/slow', gaveUp]);
    expect(stage.toldToMiddleware).toEqual(expected);
    expect(stage.toldToGuard).toEqual(expected);
  });

  it('is told at once to a listener that comes when the client has left', async () => {
    const told: RequestOutcome[] = [];
    const exchange = served().client.send('/slow');
    await guardCalls(1);
    exchange.reset();
    await until(() => stage.toldToGuard.length > 0);
    httpTransport.onAnswer(stage.guarded[0] as ExecutionContext, (outcome) => told.push(outcome));
    expect(told).toEqual([gaveUp]);
  });

  it('is told at once to a listener that comes when the answer has been given', async () => {
    const told: RequestOutcome[] = [];
    await served().client.send('/bad').end;
    await toldOf(1);
    httpTransport.onAnswer(stage.guarded[0] as ExecutionContext, (outcome) => told.push(outcome));
    expect(told).toEqual([answered(400)]);
  });
});

const overHttp1 = protocols.filter(({ isHttp2 }) => !isHttp2);

describe.each(overHttp1)('The outcome of a request by HTTP/1.1, on $name', (protocol) => {
  const served = serve(protocol);

  it('is told once: an upgrade', async () => {
    await served().client.send('/upgrade', 'GET', { Connection: 'Upgrade', Upgrade: 'echo' }).status;
    await toldOf(1);
    expect(stage.toldToMiddleware).toEqual([['/upgrade', answered(101)]]);
    expect(stage.toldToGuard).toEqual([['/upgrade', answered(101)]]);
  });

  it('is told once for each of several pipelined requests', async () => {
    const socket = await pipeline(served().port, ['/ok', '/bad', '/broken', '/no-content']);
    socket.resume();
    await toldOf(4);
    socket.destroy();
    const expected = [
      ['/ok', answered(200)],
      ['/bad', answered(400)],
      ['/broken', answered(500)],
      ['/no-content', answered(204)],
    ];
    expect(stage.toldToMiddleware).toEqual(expected);
    expect(stage.toldToGuard).toEqual(expected);
    expect(served().connections).toHaveLength(1);
  });

  it.each(['reset', 'half-closed'])(
    'is told once for pipelined requests whose connection is %s',
    async (how) => {
      const warnings: Error[] = [];
      const warn = (warning: Error): unknown => warnings.push(warning);
      process.on('warning', warn);
      const paths = Array.from({ length: 20 }, () => '/slow');
      const socket = await pipeline(served().port, paths);
      await guardCalls(paths.length);
      if (how === 'reset') socket.resetAndDestroy();
      else socket.end();
      await toldOf(paths.length);
      socket.destroy();
      process.off('warning', warn);
      const expected = paths.map((path) => [path, gaveUp]);
      expect(stage.toldToMiddleware).toEqual(expected);
      expect(stage.toldToGuard).toEqual(expected);
      expect(warnings).toEqual([]);
    },
  );
});

/** Sends requests in one packet, before any of them is answered. */
async function pipeline(port: number, paths: readonly string[]): Promise<Socket> {
  const socket = connect(port, '127.0.0.1').on('error', () => undefined);
  await once(socket, 'connect');
  socket.write(paths.map((path) => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`).join(''));
  return socket;
}

// Express replaces the prototypes of requests and responses by those of HTTP/1.1, so it cannot run on node:http2.
it.skip('The outcome of a request, on Express over HTTP/2: Express does not run on node:http2', () =>
  undefined);
