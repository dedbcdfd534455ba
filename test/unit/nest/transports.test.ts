import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { Logger, type ExecutionContext } from '@nestjs/common';
import type { HttpAdapterHost } from '@nestjs/core';
import { lastValueFrom, of } from 'rxjs';
import { resolveOptions } from '../../../lib/nest/options/resolve-options.js';
import { HandlerContext } from '../../../lib/nest/transports/handler-context.js';
import {
  graphqlTransport as graphql,
  isSubscription,
} from '../../../lib/nest/transports/graphql.transport.js';
import { guardedCallInterceptor } from '../../../lib/nest/transports/guarded-calls.js';
import { httpTransport as http } from '../../../lib/nest/transports/http.transport.js';
import { RmqServers } from '../../../lib/nest/transports/rmq-servers.js';
import { rpcTransport as rpc } from '../../../lib/nest/transports/rpc.transport.js';
import { wsTransport as ws } from '../../../lib/nest/transports/ws.transport.js';
import { Warnings } from '../../../lib/nest/options/warnings.js';
import { Transports } from '../../../lib/nest/transports/transports.js';

/** A context of a type, as Nest makes one for a request over HTTP. */
function contextOf(type: string, ...args: unknown[]): ExecutionContext {
  return new HandlerContext(type as 'http', args, class {}, () => undefined);
}

const response = { headersSent: false };

function transports(limited?: readonly string[]): Transports {
  return new Transports(
    resolveOptions(limited === undefined ? {} : { transports: limited }),
    {} as HttpAdapterHost,
    new Warnings(),
  );
}

afterEach(() => {
  jest.restoreAllMocks();
});

describe('The transports', () => {
  it('know the types of contexts of Nest, and also limit others', () => {
    const all = transports();
    expect(all.get(contextOf('http', {}, response))).toBe(http);
    for (const type of ['graphql', 'ws', 'rpc', 'bot']) expect(all.get(contextOf(type))).toBeDefined();
  });

  it('are those of the option, if it has any', () => {
    const some = transports(['http', 'bot']);
    expect(some.get(contextOf('http', {}, response))).toBe(http);
    expect(some.get(contextOf('bot'))).toBeDefined();
    expect(some.get(contextOf('ws'))).toBeUndefined();
  });

  it('take what calls itself http and has no response for an unknown type', () => {
    const all = transports();
    const unknown = all.get(contextOf('bot'));
    for (const args of [[], [{}], [{}, {}], [{}, 'text'], [{}, { raw: {} }]])
      expect(all.get(contextOf('http', ...args))).toBe(unknown);
    expect(all.get(contextOf('http', {}, { raw: response }))).toBe(http);
  });

  it('warn at start about a type that may be misspelt, and about no other', () => {
    const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    transports(['http', 'ws']).onApplicationBootstrap();
    expect(warn).not.toHaveBeenCalled();
    transports(['htpp', 'ws']).onApplicationBootstrap();
    expect(warn.mock.calls).toEqual([
      [
        'The option "transports" names "htpp", which is not one of http, graphql, ws, rpc: it limits only contexts of that type.',
      ],
    ]);
  });
});

describe('An operation of GraphQL', () => {
  const adapter = { setHeader: () => undefined };
  /** A field, with the context of a GraphQL server. */
  const fieldOf = (operation?: object): ExecutionContext => contextOf('graphql', {}, {}, operation, {});

  it('has the request that its server gives, by any of the names for it', () => {
    const request = { headers: {}, ip: '203.0.113.7' };
    for (const operation of [
      { req: request },
      { request },
      { reply: { request } },
      { extra: { request } },
      { req: { extra: { request } } },
    ]) {
      expect(graphql.requestOf(fieldOf(operation))).toBe(request);
      expect(graphql.addressOf(fieldOf(operation))).toBe('203.0.113.7');
    }
  });

  it('has the context as the second argument if it resolves a reference', () => {
    const request = { headers: {} };
    const reference = contextOf('graphql', {}, { req: request }, {});
    expect(graphql.requestOf(reference)).toBe(request);
    expect(graphql.outcomeOf?.(reference, null)).toEqual({ success: true });
  });

  it('needs no context, request, response and info', () => {
    for (const context of [fieldOf(), contextOf('graphql')]) {
      expect(graphql.requestOf(context)).toBeUndefined();
      expect(graphql.addressOf(context)).toBeUndefined();
      expect(graphql.outcomeOf?.(context, null)).toEqual({ success: true });
      expect(isSubscription(context)).toBe(false);
      graphql.setFields?.(context, [['Retry-After', '1']], adapter);
      const ended: boolean[] = [];
      graphql.onDisconnect?.(context, () => ended.push(true))();
      expect(ended).toEqual([]);
    }
    expect(graphql.addressOf(fieldOf({ req: { ip: 7 } }))).toBeUndefined();
  });

  it('sets no fields of a response that has been sent', () => {
    const fields: unknown[] = [];
    const setHeader = (...field: unknown[]): number => fields.push(field);
    for (const headersSent of [true, false])
      graphql.setFields?.(
        fieldOf({ req: { res: { headersSent, setHeader } } }),
        [['Retry-After', headersSent ? '1' : '2']],
        adapter,
      );
    expect(fields).toEqual([['Retry-After', '2']]);
  });
});

describe('A message', () => {
  it('of a microservice has an address over TCP and gRPC, and none from a broker', () => {
    const netSocket = { remoteAddress: '203.0.113.7' };
    const tcp = contextOf('rpc', {}, { getSocketRef: () => ({ netSocket }) });
    const grpc = contextOf('rpc', {}, {}, { getPeer: () => '203.0.113.7:80' });
    const broker = contextOf('rpc', {}, {});
    expect([tcp, grpc, broker].map((context) => rpc.hasAddresses(context))).toEqual([true, true, false]);
    expect([tcp, grpc, broker].map((context) => rpc.addressOf(context))).toEqual([
      '203.0.113.7',
      '203.0.113.7',
      undefined,
    ]);
  });

  it('to a gateway has no address if its client has none', () => {
    expect(ws.addressOf(contextOf('ws', { handshake: { address: 7 } }))).toBeUndefined();
    expect(ws.addressOf(contextOf('ws', {}))).toBeUndefined();
  });
});

describe('The servers of RabbitMQ', () => {
  const channel = {};
  const serversOf = (...targets: unknown[]): RmqServers =>
    new RmqServers({ getRpcTargetRegistry: () => of(...targets) });

  it('tell by the server of a channel whether its messages are acknowledged', () => {
    const [own, other] = [{ noAck: false, channel: { _channel: channel } }, { noAck: true }];
    expect(serversOf({}, own, other).needAcks(channel)).toBe(true);
    expect(serversOf(other, { ...own, noAck: true }).needAcks(channel)).toBe(false);
  });

  it('tell by all servers of a channel of none, if they agree', () => {
    expect(serversOf({ noAck: false }, { noAck: false }).needAcks(channel)).toBe(true);
    const disagreeing = serversOf({ noAck: true }, { noAck: false });
    expect(disagreeing.needAcks(channel)).toBeUndefined();
    expect(disagreeing.needAcks(channel)).toBeUndefined();
    expect(new RmqServers({}).needAcks(channel)).toBeUndefined();
  });
});

describe('The interceptor of guarded calls', () => {
  it('leaves requests over HTTP to their responses', async () => {
    const answer = guardedCallInterceptor.intercept(contextOf('http', {}, response), { handle: () => of(1) });
    expect(await lastValueFrom(await answer)).toBe(1);
  });
});
