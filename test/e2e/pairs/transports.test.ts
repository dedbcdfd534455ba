import { setImmediate as immediate } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Controller, UseGuards, UseInterceptors } from '@nestjs/common';
import { Query, Resolver } from '@nestjs/graphql';
import { GrpcMethod, MessagePattern, Payload } from '@nestjs/microservices';
import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import {
  RateLimit,
  RateLimiterService,
  RateLimitGuard,
  RateLimitInterceptor,
  type RateLimitModuleOptions,
} from 'nestjs-limits';
import { queueOf } from '../../../lib/limiter/fair-queue.js';
import { DECIDING_STORAGE } from '../../../lib/nest/options/rate-limit.tokens.js';
import type { Storage } from '../../../lib/core/storage.js';
import { Gate } from '../../support/gate.js';
import { graphqlServers, outcomeOf, startGraphqlApp } from '../../support/graphql-app.js';
import { startGrpcApp } from '../../support/grpc-app.js';
import { everybody } from '../../support/held-work.js';
import { until } from '../../support/http-exchange.js';
import { startRpcApp } from '../../support/rpc-app.js';
import { startWsApp, webSockets } from '../../support/ws-app.js';

/**
 * Slots, a wait, outcomes, actual costs and both phases in one call, on every transport without an HTTP response of its own. The early
 * limits count successes; a call whose text is `fail` fails.
 */

/** The limits of each handler. */
const Limits: MethodDecorator = (target, name, descriptor) => {
  const decorators = [
    UseGuards(RateLimitGuard),
    RateLimit('9/minute; 1 concurrent', { name: 'early', count: 'success', wait: '1 minute', ...everybody }),
    RateLimit('5/minute', { name: 'late', phase: 'afterAuth', actualCost: () => 2, ...everybody }),
  ];
  for (const decorate of decorators) (decorate as MethodDecorator)(target, name, descriptor);
};

let gate: Gate;
beforeEach(() => {
  gate = new Gate();
});

async function work(text: string): Promise<string> {
  await gate.pass();
  if (text === 'fail') throw new Error('failed');
  return text;
}

@WebSocketGateway()
@UseInterceptors(RateLimitInterceptor)
class EchoGateway {
  @SubscribeMessage('say')
  @Limits
  async say(_client: unknown, { text }: { text: string }) {
    return { event: 'said', data: await work(text) };
  }
}

@Controller()
@UseInterceptors(RateLimitInterceptor)
class EchoController {
  @MessagePattern('say')
  @Limits
  say(@Payload() { text }: { text: string }) {
    return work(text);
  }
}

@Controller()
@UseInterceptors(RateLimitInterceptor)
class GrpcController {
  @GrpcMethod('Echo', 'Say')
  @Limits
  async say({ text }: { text: string }) {
    return { text: await work(text) };
  }
}

@Resolver()
@UseInterceptors(RateLimitInterceptor)
class EchoResolver {
  @Query(() => String, { nullable: true })
  @Limits
  ok() {
    return work('ok');
  }

  @Query(() => String, { nullable: true })
  @RateLimit('9/minute; 1 concurrent', { name: 'early', count: 'success', wait: '1 minute', ...everybody })
  fail() {
    return work('fail');
  }
}

interface Running {
  readonly nest: { get(token: unknown): unknown };
  /** Calls the handler; returns `'ok'`, `'failed'`, or `'refused'`. */
  call(text: 'ok' | 'fail'): Promise<string>;
  close(): Promise<unknown>;
}

type Start = (limits: RateLimitModuleOptions) => Promise<Running>;

const transports: readonly (readonly [name: string, start: Start])[] = [
  ...webSockets.map((sockets): [string, Start] => [
    sockets,
    async (limits) => {
      const app = await startWsApp(sockets, [EchoGateway], { limits });
      return {
        nest: app.http.nest,
        async call(text) {
          const client = await app.connect();
          const [outcome] = await client.outcomes(1, 'say', { text });
          return typeof outcome === 'string' ? outcome : 'failed';
        },
        close: () => app.close(),
      };
    },
  ]),
  [
    'TCP',
    async (limits) => {
      const app = await startRpcApp([EchoController], { limits });
      return {
        nest: app.nest,
        async call(text) {
          const [outcome] = await app.connect().outcomes(1, 'say', { text });
          return typeof outcome === 'string' ? outcome : 'failed';
        },
        close: () => app.close(),
      };
    },
  ],
  [
    'gRPC',
    async (limits) => {
      const { app, connect, close } = await startGrpcApp([GrpcController], { limits });
      return {
        nest: app.nest,
        async call(text) {
          const outcome = await connect().say(text);
          if (!('code' in outcome)) return outcome.join();
          return outcome.code === 8 ? 'refused' : 'failed';
        },
        close,
      };
    },
  ],
  ...graphqlServers.map((server): [string, Start] => [
    server,
    async (limits) => {
      const app = await startGraphqlApp(server, [EchoResolver], { limits });
      return {
        nest: app.http.nest,
        async call(text) {
          const outcome = outcomeOf(await app.ask(`{ ${text} }`));
          if (outcome === 'TOO_MANY_REQUESTS') return 'refused';
          return outcome === 'ok' ? 'ok' : 'failed';
        },
        close: () => app.http.close(),
      };
    },
  ]),
];

describe.each(transports)('Slots, waits, outcomes and phases together, on %s', (name, start) => {
  let app: Running;
  let events: string[];

  beforeEach(async () => {
    events = [];
    app = await start({ onRefused: ({ binding }) => void events.push(`onRefused ${binding.limit.name}`) });
    limiter().events$.subscribe((event) => {
      if (event.type === 'refused') events.push(`refused ${event.decision.binding.limit.name}`);
    });
  });

  afterEach(async () => {
    gate.open();
    await app.close();
  });

  const limiter = (): RateLimiterService => app.nest.get(RateLimiterService) as RateLimiterService;
  const waiting = (): number | undefined =>
    queueOf(app.nest.get(DECIDING_STORAGE) as Storage)
      .waiting()
      .get('early');

  const route = name.includes('on ') ? { route: 'graphql Query.ok' } : {};

  async function left(): Promise<string> {
    const states = await Promise.all([
      limiter().peek({ policy: 'early', ...route }, 'everybody'),
      limiter().peek({ policy: 'late' }, 'everybody'),
    ]);
    return states.flatMap(({ limits }) => limits.map(({ remaining }) => remaining)).join();
  }

  async function becomes(expected: string): Promise<void> {
    while ((await left()) !== expected) await immediate();
  }

  it('each call counts once, is settled once, and holds its slot until its handler has ended', async () => {
    const first = app.call('ok');
    await until(() => gate.waiting === 1);
    const second = app.call('ok');
    await until(() => waiting() === 1);
    expect(await left()).toBe('8,0,4');
    gate.open();
    expect(await first).toBe('ok');
    await until(() => gate.entered === 2);
    expect(await left()).toBe('7,0,2');
    gate.open();
    expect(await second).toBe('ok');
    await becomes('7,1,1');
    const third = app.call('ok');
    await until(() => gate.entered === 3);
    gate.open();
    expect(await third).toBe('ok');
    await becomes('6,1,0');
    expect(await app.call('ok')).toBe('refused'); // by the late limit, which gives the early one back
    await becomes('6,1,0');
    expect(events).toEqual(['refused late', 'onRefused late']);
  });

  it('a failure gives its unit back, and frees its slot for the next call', async () => {
    const failing = app.call('fail');
    await until(() => gate.waiting === 1);
    gate.open();
    expect(await failing).toBe('failed');
    const next = app.call('ok');
    await until(() => gate.entered === 2);
    gate.open();
    expect(await next).toBe('ok');
    await becomes(name.includes('on ') ? '8,1,3' : '8,1,1');
  });
});
