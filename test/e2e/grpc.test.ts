import type { sendUnaryData, ServerDuplexStream, ServerReadableStream } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Controller, UseInterceptors, type Type } from '@nestjs/common';
import { GrpcMethod, GrpcStreamCall, GrpcStreamMethod, RpcException } from '@nestjs/microservices';
import {
  RateLimit,
  RateLimiterService,
  RateLimitInfo,
  RateLimitInterceptor,
  requestOf,
  type Decision,
  type RequestOutcome,
} from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { concat, from, map, NEVER, of, reduce, type Observable } from 'rxjs';
import { startGrpcApp, type GrpcApp, type GrpcClient, type GrpcOutcome } from '../support/grpc-app.js';
import { until } from '../support/http-exchange.js';
import { MapCasServer, MapCasStorage } from '../support/map-cas.storage.js';
import type { RpcAppOptions } from '../support/rpc-app.js';

interface Text {
  text: string;
}

@Controller()
class EchoController {
  @GrpcMethod('Echo', 'Say')
  @RateLimit('2/minute')
  say({ text }: Text): Text {
    return { text };
  }

  @GrpcMethod('Echo', 'Repeat')
  @RateLimit('2/minute')
  repeat({ text }: Text): Observable<Text> {
    return from([{ text }, { text }]);
  }

  @GrpcStreamMethod('Echo', 'Join')
  @RateLimit('2/minute')
  join(texts: Observable<Text>): Observable<Text> {
    return texts.pipe(reduce((all, { text }) => ({ text: all.text + text }), { text: '' }));
  }

  @GrpcStreamMethod('Echo', 'Chat')
  @RateLimit('2/minute')
  chat(texts: Observable<Text>): Observable<Text> {
    return texts.pipe(map(({ text }) => ({ text: `${text}!` })));
  }

  @GrpcStreamCall('Echo', 'RawJoin')
  @RateLimit('2/minute')
  rawJoin(call: ServerReadableStream<Text, Text>, callback: sendUnaryData<Text>): void {
    let all = '';
    call.on('data', ({ text }: Text) => (all += text));
    call.on('end', () => callback(null, { text: all }));
  }

  @GrpcStreamCall('Echo', 'RawChat')
  @RateLimit('2/minute')
  rawChat(call: ServerDuplexStream<Text, Text>): void {
    call.on('data', ({ text }: Text) => call.write({ text: `${text}!` }));
    call.on('end', () => call.end());
  }
}

const running: GrpcApp[] = [];
const rejections: unknown[] = [];
const remember = (reason: unknown): void => void rejections.push(reason);

beforeEach(() => {
  rejections.length = 0;
  process.on('unhandledRejection', remember);
});

afterEach(async () => {
  await Promise.all(running.splice(0).map((app) => app.close()));
  process.off('unhandledRejection', remember);
});

async function start(controller: Type, options: RpcAppOptions & { host?: string } = {}): Promise<GrpcApp> {
  const app = await startGrpcApp([controller], options);
  running.push(app);
  return app;
}

const REFUSED = {
  code: 8,
  details: 'Rate limit "default" exceeded: 2 per minute. Try again in 60 s.',
  retryAfter: '60',
};

/** Each kind of call, with the texts that answer it. */
const CALLS: [string, (client: GrpcClient) => Promise<GrpcOutcome>, string[]][] = [
  ['unary', (client) => client.say('a'), ['a']],
  ['with a stream of replies', (client) => client.repeat('a'), ['a', 'a']],
  ['with a stream of requests', (client) => client.join('Join', 'a', 'b'), ['ab']],
  ['with streams both ways', (client) => client.chat('Chat', 'a', 'b'), ['a!', 'b!']],
  ['whose handler reads the stream itself', (client) => client.join('RawJoin', 'a', 'b'), ['ab']],
  ['whose handler has both streams itself', (client) => client.chat('RawChat', 'a', 'b'), ['a!', 'b!']],
];

describe.each(CALLS)('A call of gRPC, %s,', (_kind, call, reply) => {
  it('is refused with RESOURCE_EXHAUSTED and the time to wait', async () => {
    const clock = new ManualClock();
    const { app, connect } = await start(EchoController, { clock });
    const client = connect();
    expect([await call(client), await call(client)]).toEqual([reply, reply]);
    expect([await call(client), await call(client)]).toEqual([REFUSED, REFUSED]);
    clock.advance(60_000);
    expect(await call(client)).toEqual(reply);
    expect(app.log.entries).toEqual([]);
    expect(rejections).toEqual([]);
  });

  it('has the address of its peer', async () => {
    const { connect } = await start(EchoController, { limits: { deny: ['127.0.0.0/8'] } });
    expect(await call(connect())).toEqual({ code: 7, details: 'Forbidden', retryAfter: undefined });
    expect(rejections).toEqual([]);
  });

  it('is refused with the error that the application makes', async () => {
    const { connect } = await start(EchoController, {
      limits: { errorFactory: () => new RpcException({ code: 14, message: 'slow down' }) },
    });
    const client = connect();
    await call(client);
    await call(client);
    expect(await call(client)).toEqual({ code: 14, details: 'slow down', retryAfter: undefined });
    expect(rejections).toEqual([]);
  });
});

describe('A call of gRPC', () => {
  it('is counted by the address of its peer, over all its connections', async () => {
    const { app, connect } = await start(EchoController);
    expect(await connect().say('a')).toEqual(['a']);
    expect(await connect().say('a')).toEqual(['a']);
    expect(await connect().say('a')).toEqual(REFUSED);
    const limiter = app.nest.get(RateLimiterService);
    const decision = limiter.peek({ policy: 'default', route: 'grpc Echo/Say' }, '127.0.0.1') as Decision;
    expect(decision.remaining).toBe(0);
  });

  it('has the address of its peer over IPv6', async () => {
    const { app, connect } = await start(EchoController, { host: '[::1]' });
    expect(await connect().say('a')).toEqual(['a']);
    const limiter = app.nest.get(RateLimiterService);
    const decision = limiter.peek({ policy: 'default', route: 'grpc Echo/Say' }, '::1') as Decision;
    expect(decision.remaining).toBe(1);
  });

  it('has its metadata as headers', async () => {
    @Controller()
    class KeyController {
      @GrpcMethod('Echo', 'Say')
      @RateLimit('1/minute', { key: 'api-key' })
      @RateLimit('2/minute', {
        name: 'tenant',
        key: (context) => requestOf(context)?.headers?.['x-tenant']?.toString(),
      })
      say(_text: Text, @RateLimitInfo() decision?: Decision): Text {
        return { text: String(decision?.limits.length) };
      }
    }
    const client = (await start(KeyController)).connect();
    expect(await client.say('', { 'x-api-key': 'a', 'x-tenant': 't' })).toEqual(['2']);
    expect(await client.say('', { 'x-api-key': 'b', 'x-tenant': 't' })).toEqual(['2']);
    expect(await client.say('', { 'x-api-key': 'b', 'x-tenant': 'u' })).toMatchObject({ code: 8 });
    expect(await client.say('', { 'x-api-key': 'c', 'x-tenant': 't' })).toMatchObject({
      code: 8,
      details: 'Rate limit "tenant" exceeded: 2 per minute. Try again in 60 s.',
    });
  });

  it('is refused with UNAVAILABLE where the store is down and limits refuse then', async () => {
    const server = new MapCasServer();
    server.interfere = () => {
      throw new Error('down');
    };
    const storage = new MapCasStorage(server);
    const { connect } = await start(EchoController, {
      limits: { storage, resilience: { onError: 'deny', startWithoutStore: true } },
    });
    expect(await connect().say('a')).toMatchObject({
      code: 14,
      details: 'Rate limits cannot be checked at the moment.',
    });
  });

  it('counts by outcome with the interceptor', async () => {
    @Controller()
    class LoginController {
      @GrpcMethod('Echo', 'Say')
      @UseInterceptors(RateLimitInterceptor)
      @RateLimit('1/minute', { count: 'failure' })
      login({ text }: Text): Text {
        if (text === 'wrong') throw new RpcException({ code: 16, message: 'no' });
        return { text };
      }
    }
    const client = (await start(LoginController)).connect();
    for (let time = 0; time < 3; time++) expect(await client.say('right')).toEqual(['right']);
    expect(await client.say('wrong')).toMatchObject({ code: 16 });
    expect(await client.say('right')).toMatchObject({ code: 8 });
  });

  it('that its client cancels is charged its actual cost with the interceptor', async () => {
    const outcomes: RequestOutcome[] = [];
    @Controller()
    class ModelController {
      @GrpcMethod('Echo', 'Repeat')
      @UseInterceptors(RateLimitInterceptor)
      @RateLimit('10/minute', {
        name: 'tokens',
        cost: 9,
        actualCost: (_context, outcome) => {
          outcomes.push(outcome);
          return 1;
        },
      })
      tokens({ text }: Text): Observable<Text> {
        return concat(of({ text }), NEVER);
      }
    }
    const { app, connect } = await start(ModelController);
    expect(await connect().repeat('hello', 1)).toEqual(['hello']);
    await until(() => outcomes.length > 0);
    expect(outcomes).toEqual([{ success: false, aborted: true }]);
    const { remaining } = await app.nest.get(RateLimiterService).peek({ policy: 'tokens' }, '127.0.0.1');
    expect(remaining).toBe(9);
  });
});
