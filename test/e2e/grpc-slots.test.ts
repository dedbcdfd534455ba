import type { sendUnaryData, ServerDuplexStream, ServerReadableStream } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Controller, UseGuards, UseInterceptors, type Type } from '@nestjs/common';
import { GrpcMethod, GrpcStreamCall, GrpcStreamMethod, RpcException } from '@nestjs/microservices';
import {
  MemoryStorage,
  RateLimit,
  RateLimiterService,
  RateLimitInterceptor,
  type BatchResult,
  type RequestOutcome,
  type Settlement,
} from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { setImmediate as immediate } from 'node:timers/promises';
import { concat, defer, firstValueFrom, map, of, Subject, tap, Observable } from 'rxjs';
import { Gate } from '../support/gate.js';
import { startGrpcApp, type GrpcApp, type GrpcMethodName } from '../support/grpc-app.js';
import { everybody } from '../support/held-work.js';
import { until } from '../support/http-exchange.js';
import { TcpProxy } from '../support/tcp-proxy.js';

/** Slots, outcomes and actual costs of each kind of call of gRPC, however the call ends. */

interface Text {
  text: string;
}

const ERROR = { code: 10, message: 'broken' };

/** Ends the handlers, with an error or without. */
let ends: Subject<'complete' | 'fail'>;
let begun: number;
/** The outcomes for which the actual cost was asked. */
let outcomes: RequestOutcome[];
/** The slots that were released. */
let released: number;
/** Holds the guards after the limits, if there is one. */
let gate: Gate | undefined;
const rejections: unknown[] = [];
const remember = (reason: unknown): void => void rejections.push(reason);

const Limits: MethodDecorator = (target, name, descriptor) => {
  const decorators = [
    UseGuards({ canActivate: async () => (await gate?.pass(), true) }),
    UseInterceptors(RateLimitInterceptor),
    RateLimit('2 concurrent', { name: 'slots', ...everybody }),
    RateLimit('9/minute', { name: 'failures', count: 'failure', ...everybody }),
    RateLimit('9/minute', {
      name: 'tokens',
      cost: 2,
      actualCost: (_context, outcome) => {
        outcomes.push(outcome);
        return 3;
      },
      ...everybody,
    }),
  ];
  for (const decorate of decorators) (decorate as MethodDecorator)(target, name, descriptor);
};

/** Waits until the test ends the handlers. */
function ended(): Observable<Text> {
  return defer(() => {
    begun++;
    return ends.pipe(
      map((end) => {
        if (end === 'fail') throw new RpcException(ERROR);
        return { text: 'z' };
      }),
      tap(() => queueMicrotask(() => ends.complete())),
    );
  });
}

@Controller()
class StreamController {
  @GrpcMethod('Echo', 'Say')
  @Limits
  say(): Promise<Text> {
    return firstValueFrom(ended());
  }

  @GrpcMethod('Echo', 'Repeat')
  @Limits
  repeat({ text }: Text): Observable<Text> {
    return concat(of({ text }), ended());
  }

  @GrpcStreamMethod('Echo', 'Join')
  @Limits
  join(_texts: Observable<Text>): Observable<Text> {
    return ended();
  }

  @GrpcStreamMethod('Echo', 'Chat')
  @Limits
  chat(_texts: Observable<Text>): Observable<Text> {
    return concat(of({ text: 'a' }), ended());
  }

  @GrpcStreamCall('Echo', 'RawJoin')
  @Limits
  rawJoin(call: ServerReadableStream<Text, Text>, callback: sendUnaryData<Text>): void {
    call.resume();
    ended().subscribe({ next: (text) => callback(null, text), error: () => callback(ERROR) });
  }

  @GrpcStreamCall('Echo', 'RawChat')
  @Limits
  rawChat(call: ServerDuplexStream<Text, Text>): void {
    call.resume();
    call.write({ text: 'a' });
    ended().subscribe({
      next: (text) => call.write(text),
      error: () => call.emit('error', ERROR),
      complete: () => call.end(),
    });
  }
}

/** Counts the slots that it releases. */
class CountingStorage extends MemoryStorage {
  override settle(settlements: readonly Settlement[]): BatchResult {
    released += settlements.filter(
      ({ limit, actual }) => limit.strategy === 'concurrency' && actual === 0,
    ).length;
    return super.settle(settlements);
  }
}

let app: GrpcApp;
let proxy: TcpProxy;

async function start(controller: Type = StreamController): Promise<void> {
  app = await startGrpcApp([controller], {
    limits: { storage: new CountingStorage({ clock: new ManualClock() }) },
  });
  proxy = await TcpProxy.to(app.port);
}

beforeEach(() => {
  ends = new Subject();
  [begun, released, outcomes, gate] = [0, 0, [], undefined];
  rejections.length = 0;
  process.on('unhandledRejection', remember);
});

afterEach(async () => {
  proxy.close();
  await app.close();
  process.off('unhandledRejection', remember);
});

/** Returns what each limit has left. */
async function left(): Promise<string> {
  const limiter = app.app.nest.get(RateLimiterService);
  const states: number[] = [];
  for (const policy of ['slots', 'failures', 'tokens'])
    states.push((await limiter.peek({ policy, route }, 'everybody')).remaining);
  return states.join();
}

/** The route whose limits are looked at. */
let route: string;

async function becomes(expected: string): Promise<void> {
  while ((await left()) !== expected) await immediate();
  for (let turn = 0; turn < 5; turn++) await immediate();
  expect(await left()).toBe(expected);
}

const METHODS: readonly GrpcMethodName[] = ['Say', 'Repeat', 'Join', 'Chat', 'RawJoin', 'RawChat'];

describe.each(METHODS)('A call of gRPC, %s,', (method) => {
  beforeEach(() => {
    route = `grpc Echo/${method}`;
  });

  it('holds its slot until its handler has ended, and is settled once', async () => {
    await start();
    const call = app.connect().open(method);
    await until(() => begun === 1);
    expect(await left()).toBe('1,8,7');
    ends.next('complete');
    expect(await call.outcome).toEqual(expect.arrayContaining(['z']));
    await becomes('2,9,6');
    expect([outcomes, released]).toEqual([[{ success: true }], 1]);
    expect([app.app.log.errors, rejections]).toEqual([[], []]);
  });

  it('that fails is settled as a failure, once', async () => {
    await start();
    const call = app.connect().open(method);
    await until(() => begun === 1);
    ends.next('fail');
    expect(await call.outcome).toMatchObject({ code: 10 });
    await becomes('2,8,6');
    expect([outcomes, released]).toEqual([[{ success: false, error: expect.anything() as unknown }], 1]);
    expect(rejections).toEqual([]);
  });

  it.each<[string, (call: { cancel(): void }) => void, number?]>([
    ['its client cancels', (call) => call.cancel()],
    ['exceeds its deadline', () => undefined, 300],
    ['loses its connection', () => proxy.cut()],
  ])('that %s is settled once, when its handler has ended', async (_how, end, deadline = Infinity) => {
    await start();
    const call = app.connect(proxy.port).open(method, deadline);
    await until(() => begun === 1);
    expect(await left()).toBe('1,8,7');
    end(call);
    expect(await call.outcome).toHaveProperty('code');
    if (method === 'Say') {
      for (let turn = 0; turn < 20; turn++) await immediate();
      expect(await left()).toBe('1,8,7'); // Nest lets the handler of a promise run
      ends.next('complete');
      await becomes('2,9,6');
    } else await becomes('2,8,6');
    expect(outcomes).toEqual([method === 'Say' ? { success: true } : { success: false, aborted: true }]);
    expect([released, app.app.log.errors, rejections]).toEqual([1, [], []]);
  });

  it('whose client leaves before the handler begins frees its slot, and the handler does not run', async () => {
    gate = new Gate();
    await start();
    const call = app.connect().open(method);
    await until(() => gate?.waiting === 1);
    call.cancel();
    await becomes('2,8,7');
    gate.open();
    await until(() => gate?.waiting === 0);
    for (let turn = 0; turn < 20; turn++) await immediate();
    expect([begun, released, app.app.log.errors, rejections]).toEqual([0, 1, [], []]);
  });
});
