import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { ExecutionContext } from '@nestjs/common';
import type { RequestOutcome } from 'nestjs-limits';
import { EventEmitter, once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setImmediate as immediate } from 'node:timers/promises';
import { onHttpAnswer } from '../../../lib/nest/transports/http-answer.js';
import { httpTransport } from '../../../lib/nest/transports/http.transport.js';
import { AnswersModule, middleware, resetStage, stage } from '../../support/answers-app.js';
import { protocols, ServedApp, until, type Client, type Protocol } from '../../support/http-exchange.js';

const answered = (statusCode: number): RequestOutcome => ({ success: statusCode < 400, statusCode });

/** Requests and their outcomes. */
const FOUR_OUTCOMES: readonly (readonly [path: string, outcome: RequestOutcome])[] = [
  ['/ok', answered(200)],
  ['/bad', answered(400)],
  ['/broken', answered(500)],
  ['/no-content', answered(204)],
];
const gaveUp: RequestOutcome = { success: false, aborted: true };

/**
 * Waits until every listener has reported a number of requests, and then for unexpected reports.
 */
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

/** Waits for the full response. */
const read =
  (path: string, method?: string) =>
  async (client: Client): Promise<unknown> =>
    client.send(path, method).end;

/** Disconnects while the handler runs. */
const leaveBeforeHeader =
  (path: string) =>
  async (client: Client): Promise<void> => {
    const exchange = client.send(path);
    await stage.started.raised;
    exchange.reset();
  };

/** Disconnects after a part of the body. */
const leaveAfterData =
  (path: string) =>
  async (client: Client): Promise<void> => {
    const exchange = client.send(path);
    await exchange.firstData;
    exchange.reset();
  };

/** Lets the handler continue and reads the response. */
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

/** Requests that reach only the middleware. */
const withoutGuard = ['/early', '/nowhere'];

/** Starts an application before each test. */
function serve(protocol: Protocol): () => ServedApp {
  let app: ServedApp;

  beforeEach(async () => {
    resetStage();
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

  it.each(cases)('is reported once: %s', async (_subject, path, act, outcome) => {
    const reachesGuard = !withoutGuard.includes(path);
    await act(served().client);
    await toldOf(1, reachesGuard);
    expect(stage.toldToMiddleware).toEqual([[path, outcome]]);
    expect(stage.toldToGuard).toEqual(reachesGuard ? [[path, outcome]] : []);
  });

  it('is reported once for each of several requests on one connection', async () => {
    for (const path of FOUR_OUTCOMES.map(([path]) => path)) await served().client.send(path).end;
    await toldOf(4);
    expect(served().connections).toHaveLength(1);
    expect(stage.toldToMiddleware).toEqual(FOUR_OUTCOMES);
    expect(stage.toldToGuard).toEqual(FOUR_OUTCOMES);
  });

  it('is reported for each request of a connection that breaks', async () => {
    const requests = isHttp2 ? 15 : 1;
    for (let request = 0; request < requests; request++) served().client.send('/slow');
    await guardCalls(requests);
    served().client.close();
    await toldOf(requests);
    const expected = Array.from({ length: requests }, () => ['/slow', gaveUp]);
    expect(stage.toldToMiddleware).toEqual(expected);
    expect(stage.toldToGuard).toEqual(expected);
  });

  it('is reported immediately to a listener that is added after the client has left', async () => {
    const told: RequestOutcome[] = [];
    const exchange = served().client.send('/slow');
    await guardCalls(1);
    exchange.reset();
    await until(() => stage.toldToGuard.length > 0);
    httpTransport.onAnswer(stage.guarded[0] as ExecutionContext, (outcome) => told.push(outcome));
    expect(told).toEqual([gaveUp]);
  });

  it('is reported immediately to a listener that is added after the response', async () => {
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

  it('is reported once: an upgrade', async () => {
    await served().client.send('/upgrade', 'GET', { Connection: 'Upgrade', Upgrade: 'echo' }).status;
    await toldOf(1);
    expect(stage.toldToMiddleware).toEqual([['/upgrade', answered(101)]]);
    expect(stage.toldToGuard).toEqual([['/upgrade', answered(101)]]);
  });

  it('is reported once for each of several pipelined requests', async () => {
    const socket = await pipeline(
      served().port,
      FOUR_OUTCOMES.map(([path]) => path),
    );
    socket.resume();
    await toldOf(4);
    socket.destroy();
    expect(stage.toldToMiddleware).toEqual(FOUR_OUTCOMES);
    expect(stage.toldToGuard).toEqual(FOUR_OUTCOMES);
    expect(served().connections).toHaveLength(1);
  });

  it.each(['reset', 'half-closed'])(
    'is reported once for pipelined requests whose connection is %s',
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

/** Sends requests in one packet, before any of them gets a response. */
async function pipeline(port: number, paths: readonly string[]): Promise<Socket> {
  const socket = connect(port, '127.0.0.1').on('error', () => undefined);
  await once(socket, 'connect');
  socket.write(paths.map((path) => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`).join(''));
  return socket;
}

// Express replaces the prototypes of requests and responses by those of HTTP/1.1, so it cannot run
// on node:http2.
it.skip('The outcome of a request, on Express over HTTP/2: Express does not run on node:http2', () =>
  undefined);

it('A response has one listener per event for all of its callers, which are called once', () => {
  const response = Object.assign(new EventEmitter(), { statusCode: 200, headersSent: false });
  const outcomes: RequestOutcome[] = [];
  for (let caller = 0; caller < 20; caller++) onHttpAnswer(response, (outcome) => outcomes.push(outcome));
  expect(['finish', 'close'].map((event) => response.listenerCount(event))).toEqual([1, 1]);
  response.headersSent = true;
  response.emit('finish');
  response.emit('close');
  expect(outcomes).toEqual(Array(20).fill({ success: true, statusCode: 200 }));
});
