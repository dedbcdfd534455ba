import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  Controller,
  Get,
  Inject,
  Injectable,
  SetMetadata,
  UseGuards,
  UseInterceptors,
  type CanActivate,
  type ExecutionContext,
  type INestApplication,
  type Type,
} from '@nestjs/common';
import { APP_INTERCEPTOR, ExternalContextCreator } from '@nestjs/core';
import {
  BaseRpcContext,
  EventPattern,
  MessagePattern,
  Payload,
  RpcException,
  Server,
  type CustomTransportStrategy,
} from '@nestjs/microservices';
import {
  RateLimit,
  RateLimiterService,
  RateLimitGuard,
  RateLimitInfo,
  RateLimitInterceptor,
  SkipRateLimit,
  type Decision,
  type RateLimitModuleOptions,
} from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { setImmediate } from 'node:timers/promises';
import { lastValueFrom, of } from 'rxjs';
import { describeOverHttp, limited } from '../support/http-app.js';
import { MapCasServer, MapCasStorage } from '../support/map-cas.storage.js';
import { until } from '../support/servers/server-process.js';
import { startRpcApp, type RpcApp, type RpcAppOptions } from '../support/rpc-app.js';

const running: RpcApp[] = [];

async function start(controllers: Type[], options?: RpcAppOptions): Promise<RpcApp> {
  const app = await startRpcApp(controllers, options);
  running.push(app);
  return app;
}

afterEach(async () => {
  await Promise.all(running.splice(0).map((app) => app.close()));
});

/** The payload of messages in these tests. */
interface Task {
  tenant?: string;
  units: number;
  token: string;
  user?: string;
}

const taskOf = (context: ExecutionContext): Task => context.switchToRpc().getData<Task>();

@Controller()
class SumController {
  readonly events: unknown[] = [];

  @MessagePattern('sum')
  @RateLimit('3/minute')
  sum(@Payload() numbers: number[]) {
    return numbers.reduce((sum, number) => sum + number, 0);
  }

  @MessagePattern({ cmd: 'later' })
  @RateLimit('1/minute')
  async later() {
    return Promise.resolve('later');
  }

  @MessagePattern('stream')
  @RateLimit('1/minute')
  stream() {
    return of('stream');
  }

  @MessagePattern('free')
  free() {
    return 'free';
  }

  @EventPattern('sum.done')
  @RateLimit('2/minute')
  onSum(@Payload() event: unknown) {
    this.events.push(event);
  }
}

describe('A limited message of a microservice over TCP', () => {
  it('is refused with an error that has the limit and the wait', async () => {
    const app = await start([SumController]);
    const client = app.connect();
    expect(await client.outcomes(3, 'sum', [1, 2])).toEqual([3, 3, 3]);
    expect(await client.ask('sum', [1, 2])).toEqual({
      status: 'error',
      statusCode: 429,
      error: 'Too Many Requests',
      message: 'Rate limit "default" exceeded: 3 per minute. Try again in 60 s.',
      limit: { name: 'default', amount: 3, period: 60, remaining: 0 },
      retryAfter: 60,
    });
    expect(app.log.entries).toEqual([]);
  });

  it('is allowed again after the wait of the error', async () => {
    const clock = new ManualClock();
    const client = (await start([SumController], { clock })).connect();
    await client.outcomes(4, 'sum', [1]);
    clock.advance(59_999);
    expect(await client.outcomes(1, 'sum', [1])).toEqual(['refused']);
    clock.advance(1);
    expect(await client.outcomes(1, 'sum', [1])).toEqual([1]);
  });

  it('is counted by its pattern, for any kind of response', async () => {
    const client = (await start([SumController])).connect();
    expect(await client.outcomes(4, 'sum', [1])).toEqual([1, 1, 1, 'refused']);
    expect(await client.outcomes(2, { cmd: 'later' })).toEqual(['later', 'refused']);
    expect(await client.outcomes(2, 'stream')).toEqual(['stream', 'refused']);
    expect(await client.outcomes(9, 'free')).toEqual(new Array(9).fill('free'));
  });

  it('is counted by the address of its client, over all its connections', async () => {
    const app = await start([SumController]);
    expect(await app.connect().outcomes(2, 'sum', [1])).toEqual([1, 1]);
    expect(await app.connect().outcomes(2, 'sum', [1])).toEqual([1, 'refused']);
    expect(await app.connect('127.0.0.2').outcomes(4, 'sum', [1])).toEqual([1, 1, 1, 'refused']);
  });

  it('is counted by the result of a function of its payload, and at that cost', async () => {
    @Controller()
    class TenantController {
      @MessagePattern('work')
      @RateLimit('5/minute', {
        key: (context) => taskOf(context).tenant,
        cost: (context) => taskOf(context).units,
      })
      work() {
        return 'done';
      }
    }
    const client = (await start([TenantController])).connect();
    for (const tenant of ['a', 'b'])
      expect(await client.outcomes(3, 'work', { tenant, units: 2 })).toEqual(['done', 'done', 'refused']);
    expect(await client.outcomes(1, 'work', { tenant: 'a', units: 1 })).toEqual(['done']);
  });

  it.each([
    ['a text', 'hi'],
    ['a number', 42],
    ['an empty text', ''],
    ['an object', { text: 'hi' }],
    ['a list', ['a']],
  ])('counts once under several guards and gives its handler the decision: %s', async (_kind, data) => {
    @Controller()
    @UseGuards(RateLimitGuard)
    class AnyController {
      @MessagePattern('any')
      @UseGuards(RateLimitGuard)
      @RateLimit('3/minute')
      any(@Payload() payload: unknown, @RateLimitInfo() decision?: Decision) {
        return { payload, remaining: decision?.remaining };
      }
    }
    const client = (await start([AnyController])).connect();
    for (const remaining of [2, 1, 0])
      expect(await client.ask('any', data)).toEqual({ payload: data, remaining });
    expect(await client.outcomes(1, 'any', data)).toEqual(['refused']);
  });

  it('is known to the service by its route', async () => {
    const app = await start([SumController]);
    const client = app.connect();
    await client.outcomes(2, 'sum', [1]);
    await client.emit('sum.done');
    await client.ask('free');
    const limiter = app.nest.get(RateLimiterService);
    const peek = (route: string): number =>
      (limiter.peek({ policy: 'default', route }, '127.0.0.1') as Decision).remaining;
    expect(peek('rpc message "sum"')).toBe(1);
    expect(peek('rpc event "sum.done"')).toBe(1);
    expect(peek('rpc message {"cmd":"later"}')).toBe(1);
  });

  it('can be excluded, with all of its kind', async () => {
    const client = (await start([SumController], { limits: { transports: ['http', 'ws'] } })).connect();
    expect(await client.outcomes(5, 'sum', [1])).toEqual(new Array(5).fill(1));
  });

  it('is refused with 403 where its network is denied', async () => {
    const client = (await start([SumController], { limits: { deny: ['127.0.0.2'] } })).connect('127.0.0.2');
    expect(await client.ask('free')).toEqual({ status: 'error', statusCode: 403, message: 'Forbidden' });
  });

  it('gets an error while the store is down, and so does the next one', async () => {
    const server = new MapCasServer();
    const storage = new MapCasStorage(server, { clock: new ManualClock() });
    const client = (await start([SumController], { limits: { storage, resilience: false } })).connect();
    expect(await client.outcomes(1, 'sum', [1])).toEqual([1]);
    server.interfere = () => {
      throw new Error('down');
    };
    for (let message = 0; message < 2; message++)
      expect(await client.ask('sum', [1])).toEqual({ status: 'error', message: 'Internal server error' });
    server.interfere = () => undefined;
    expect(await client.outcomes(1, 'sum', [1])).toEqual([1]);
  });

  it('shares its count with its controller or with the module, if the scope requires it', async () => {
    @Controller()
    @RateLimit('2/minute', { name: 'class' })
    class LevelsController {
      @MessagePattern('one')
      one() {
        return 1;
      }

      @MessagePattern('two')
      two() {
        return 2;
      }

      @MessagePattern('none')
      @SkipRateLimit()
      none() {
        return 0;
      }
    }
    const limits = { limits: [{ name: 'module', limits: '9/minute' }], transports: ['rpc'] };
    const client = (await start([LevelsController], { limits })).connect();
    expect(await client.outcomes(1, 'one')).toEqual([1]);
    expect(await client.outcomes(1, 'two')).toEqual([2]);
    expect(await client.ask('two')).toMatchObject({ limit: { name: 'class' } });
    expect(await client.outcomes(9, 'none')).toEqual(new Array(9).fill(0));
  });
});

describe('A limited event of a microservice over TCP', () => {
  it('is dropped when the limit is exceeded, and the service keeps running', async () => {
    const app = await start([SumController]);
    const client = app.connect();
    for (const event of [1, 2, 3, 4]) await client.emit('sum.done', event);
    expect(await client.outcomes(1, 'free')).toEqual(['free']);
    expect(app.nest.get(SumController).events).toEqual([1, 2]);
    expect(app.log.entries).toEqual([]);
    expect(await client.outcomes(1, 'sum', [1, 2])).toEqual([3]);
  });

  it('is counted for each of its handlers', async () => {
    const seen: string[] = [];
    @Controller()
    class FirstController {
      @EventPattern('both')
      @UseGuards(RateLimitGuard)
      @RateLimit('1/minute', { scope: 'first' })
      first(@RateLimitInfo() decision?: Decision) {
        seen.push(`first ${decision?.limits.length} ${decision?.remaining}`);
      }
    }
    @Controller()
    class SecondController {
      @EventPattern('both')
      @UseGuards(RateLimitGuard)
      @RateLimit('2/minute', { scope: 'second' })
      second(@RateLimitInfo() decision?: Decision) {
        seen.push(`second ${decision?.limits.length} ${decision?.remaining}`);
      }

      @MessagePattern('free')
      free() {
        return 'free';
      }
    }
    const client = (await start([FirstController, SecondController])).connect();
    for (let event = 0; event < 3; event++) await client.emit('both');
    await client.ask('free');
    expect(seen.sort()).toEqual(['first 1 0', 'second 1 0', 'second 1 1']);
  });
});

describe('An event with several handlers', () => {
  const seen: string[] = [];

  @Controller()
  class FirstController {
    @EventPattern('both')
    @RateLimit('5/minute')
    first(@Payload() event: number) {
      seen.push(`first ${event}`);
    }

    @EventPattern('both')
    @RateLimit('5/minute')
    another(@Payload() event: number) {
      seen.push(`another ${event}`);
    }
  }
  @Controller()
  class SecondController {
    @EventPattern('both')
    @RateLimit('5/minute')
    first(@Payload() event: number) {
      seen.push(`second ${event}`);
    }

    @MessagePattern('free')
    free() {
      return 'free';
    }
  }
  /** What each handler sees of seven events under five a minute. */
  const five = ['another', 'first', 'second'].flatMap((name) =>
    [1, 2, 3, 4, 5].map((event) => `${name} ${event}`),
  );

  beforeEach(() => {
    seen.length = 0;
  });

  async function emitSeven(options?: RpcAppOptions): Promise<RpcApp> {
    const app = await start([FirstController, SecondController], options);
    const client = app.connect();
    for (let event = 1; event <= 7; event++) await client.emit('both', event);
    await until(() => seen.length >= five.length, 'all events to arrive', 5000);
    await client.ask('free');
    return app;
  }

  it('is counted apart for each', async () => {
    const app = await emitSeven();
    expect(seen.sort()).toEqual(five);
    const limiter = app.nest.get(RateLimiterService);
    for (const route of ['rpc event "both"', 'rpc event "both" #2', 'rpc event "both" #3'])
      expect((limiter.peek({ policy: 'default', route }, '127.0.0.1') as Decision).remaining).toBe(0);
  });

  it('is not kept from one handler by the refusal of another, with interceptors', async () => {
    @Controller()
    class RefusingController {
      @EventPattern('both')
      @RateLimit('0/minute')
      refused(@Payload() event: number) {
        seen.push(`refused ${event}`);
      }
    }
    const interceptor = { provide: APP_INTERCEPTOR, useClass: RateLimitInterceptor };
    const app = await start([RefusingController, FirstController], { module: { providers: [interceptor] } });
    const client = app.connect();
    for (let event = 1; event <= 2; event++) await client.emit('both', event);
    await until(() => seen.length === 4, 'both events to arrive', 5000);
    expect(seen.sort()).toEqual(['another 1', 'another 2', 'first 1', 'first 2']);
  });
});

/** As brokers' clients do that deliver again what fails: a strategy that awaits the handler of an event. */
class RetryingServer extends Server implements CustomTransportStrategy {
  listen(callback: () => void): void {
    callback();
  }

  close(): void {
    // has no connection
  }

  on(): void {
    // has no events
  }

  unwrap(): never {
    throw new Error('has no server');
  }

  /** Delivers an event until it is handled, at most thrice. Returns the number of deliveries. */
  async deliver(pattern: string, data: unknown): Promise<number> {
    for (let delivery = 1; ; delivery++) {
      try {
        const result: unknown = await this.getHandlerByPattern(pattern)?.(data, new BaseRpcContext([]));
        await lastValueFrom(this.transformToObservable(result));
        return delivery;
      } catch (error) {
        if (delivery === 3) throw error;
      }
    }
  }
}

describe('A transport that delivers again what fails', () => {
  it('sees no error of a refused event', async () => {
    const strategy = new RetryingServer();
    const app = await start([SumController], { transport: { strategy } });
    const deliveries: number[] = [];
    for (const event of [1, 2, 3, 4]) deliveries.push(await strategy.deliver('sum.done', event));
    expect(deliveries).toEqual([1, 1, 1, 1]);
    expect(app.nest.get(SumController).events).toEqual([1, 2]);
  });
});

describe('Counting messages by outcome', () => {
  it('refunds successes', async () => {
    @Controller()
    @UseInterceptors(RateLimitInterceptor)
    class LoginController {
      @MessagePattern('login')
      @RateLimit('2/minute', { count: 'failure' })
      login(@Payload() password: string) {
        if (password !== 'right') throw new RpcException('wrong password');
        return 'welcome';
      }
    }
    const client = (await start([LoginController])).connect();
    expect(await client.outcomes(5, 'login', 'right')).toEqual(new Array(5).fill('welcome'));
    for (let attempt = 0; attempt < 2; attempt++)
      expect(await client.ask('login', 'wrong')).toEqual({ status: 'error', message: 'wrong password' });
    expect(await client.outcomes(1, 'login', 'right')).toEqual(['refused']);
  });
});

describe('A message that a later limit refuses', () => {
  it('takes nothing from earlier limits that count by outcome', async () => {
    @Controller()
    class PhasesController {
      @MessagePattern('try')
      @UseGuards(RateLimitGuard)
      @RateLimit('4/minute', { name: 'tries', count: 'success' })
      @RateLimit('1/minute', { name: 'late', phase: 'afterAuth' })
      try() {
        return 'done';
      }
    }
    const app = await start([PhasesController]);
    const client = app.connect();
    expect(await client.outcomes(9, 'try')).toEqual(['done', ...new Array<string>(8).fill('refused')]);
    expect(await client.ask('try')).toMatchObject({ limit: { name: 'late' } });
    const limiter = app.nest.get(RateLimiterService);
    expect((limiter.peek({ policy: 'tries' }, '127.0.0.1') as Decision).remaining).toBe(3);
  });
});

describe('A hybrid application', () => {
  @Controller()
  @RateLimit('3/minute')
  class HybridController {
    @Get()
    get() {
      return 'get';
    }

    @MessagePattern('get')
    message() {
      return 'message';
    }
  }

  async function statuses(app: RpcApp, count: number): Promise<number[]> {
    const url = await (app.nest as INestApplication).getUrl();
    const seen: number[] = [];
    for (let request = 0; request < count; request++) seen.push((await fetch(url)).status);
    return seen;
  }

  it('limits messages if they inherit the global enhancers of the application', async () => {
    const app = await start([HybridController], { hybrid: { inheritAppConfig: true } });
    expect(await app.connect().outcomes(2, 'get')).toEqual(['message', 'message']);
    expect(await statuses(app, 2)).toEqual([200, 429]);
    expect(await app.connect().outcomes(1, 'get')).toEqual(['refused']);
  });

  it('limits messages by their own guard if they do not', async () => {
    @Controller()
    class OwnGuardController {
      @MessagePattern('own')
      @UseGuards(RateLimitGuard)
      @RateLimit('1/minute')
      own() {
        return 'own';
      }
    }
    const app = await start([HybridController, OwnGuardController], { hybrid: { inheritAppConfig: false } });
    expect(await app.connect().outcomes(4, 'get')).toEqual(new Array(4).fill('message'));
    expect(await app.connect().outcomes(2, 'own')).toEqual(['own', 'refused']);
    expect(await statuses(app, 4)).toEqual([200, 200, 200, 429]);
  });
});

describe('Limits of the module', () => {
  @Controller()
  class MixedController {
    readonly events: unknown[] = [];

    @Get()
    @MessagePattern('both')
    both() {
      return 'both';
    }

    @MessagePattern('free')
    @SkipRateLimit('default')
    free() {
      return 'free';
    }

    @MessagePattern('own')
    @RateLimit('1/minute', { name: 'own' })
    own() {
      return 'own';
    }

    @EventPattern('event')
    event(event: unknown) {
      this.events.push(event);
    }
  }
  const hybrid = { inheritAppConfig: true };
  const statuses = async (app: RpcApp, count: number): Promise<number[]> => {
    const url = await (app.nest as INestApplication).getUrl();
    const seen: number[] = [];
    for (let request = 0; request < count; request++) seen.push((await fetch(url)).status);
    return seen;
  };

  it('count requests of a hybrid application, but neither its messages nor its events', async () => {
    const app = await start([MixedController], { hybrid, limits: { limits: '3/minute' } });
    const client = app.connect();
    for (let event = 0; event < 10; event++) await client.emit('event', event);
    expect(await client.outcomes(10, 'both')).toEqual(new Array(10).fill('both'));
    expect(await client.outcomes(10, 'free')).toEqual(new Array(10).fill('free'));
    expect(app.nest.get(MixedController).events).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(await statuses(app, 4)).toEqual([200, 200, 200, 429]);
  });

  it('leave decorated messages to their own limits', async () => {
    const client = (await start([MixedController], { hybrid, limits: { limits: '0/minute' } })).connect();
    expect(await client.ask('own')).toBe('own');
    expect(await client.ask('own')).toMatchObject({ limit: { name: 'own' } });
  });

  it('count messages and events if the option transports lists them', async () => {
    const limits = { limits: '3/minute', transports: ['http', 'rpc'] };
    const app = await start([MixedController], { hybrid, limits });
    const client = app.connect();
    for (let event = 0; event < 2; event++) await client.emit('event', event);
    expect(await client.outcomes(2, 'both')).toEqual(['both', 'refused']);
    expect(await client.outcomes(2, 'free')).toEqual(['free', 'free']);
    expect(app.nest.get(MixedController).events).toEqual([0, 1]);
    expect(await statuses(app, 1)).toEqual([429]);
  });

  it('count messages of a separate microservice if the option transports lists them', async () => {
    const client = (
      await start([MixedController], { limits: { limits: '3/minute', transports: ['rpc'] } })
    ).connect();
    expect(await client.outcomes(4, 'both')).toEqual(['both', 'both', 'both', 'refused']);
  });
});

describe('Messages with a user set by a guard', () => {
  @Injectable()
  class TokenGuard implements CanActivate {
    canActivate(context: ExecutionContext): boolean {
      const payload = taskOf(context);
      payload.user = `user ${payload.token}`;
      return true;
    }
  }

  it('are limited after that guard', async () => {
    @Controller()
    class GuardedController {
      @MessagePattern('work')
      @UseGuards(TokenGuard, RateLimitGuard)
      @RateLimit('1/minute', {
        key: (context) => taskOf(context).user,
        phase: 'afterAuth',
      })
      work() {
        return 'done';
      }
    }
    const client = (await start([GuardedController])).connect();
    for (const token of ['a', 'b'])
      expect(await client.outcomes(2, 'work', { token })).toEqual(['done', 'refused']);
  });
});

/** As libraries for other kinds of messages call handlers. */
@Controller()
class BotController {
  constructor(@Inject(ExternalContextCreator) private readonly contexts: ExternalContextCreator) {}

  @SetMetadata('telegram:command', 'greet')
  @RateLimit('2/minute')
  greet() {
    return 'Hello';
  }

  @SetMetadata('telegram:command', 'by key')
  @RateLimit('1/minute', { key: (context) => context.getArgByIndex<{ from: string }>(0).from })
  byKey() {
    return 'Hello';
  }

  free() {
    return 'Hello';
  }

  @SetMetadata('telegram:command', 'by outcome')
  @UseInterceptors(RateLimitInterceptor)
  @RateLimit('1/minute', { count: 'failure' })
  byOutcome(message: { fails: boolean }) {
    if (message.fails) throw new Error('failed');
    return 'Hello';
  }

  handlerOf(
    name: 'greet' | 'byKey' | 'free' | 'byOutcome',
    type = 'telegram',
  ): (...args: unknown[]) => Promise<unknown> {
    const nothing = [undefined, undefined, undefined, undefined, undefined] as const;
    const handler = BotController.prototype[name] as (...args: unknown[]) => string;
    return this.contexts.create(this, handler, name, ...nothing, type);
  }
}

describeOverHttp('A handler of an unknown kind', (start) => {
  it('is limited for all clients together, or by its key, and never fails otherwise', async () => {
    const app = await start(limited([BotController]));
    const bot = app.nest.get(BotController);
    const greet = bot.handlerOf('greet');
    for (const args of [[{ from: 'a' }], []]) expect(await greet(...args)).toBe('Hello');
    await expect(greet({ from: 'c' })).rejects.toMatchObject({ status: 429 });
    expect(app.log.warnings).toEqual([
      expect.stringContaining('A request by "telegram" has no client address'),
    ]);

    const byKey = bot.handlerOf('byKey');
    for (const from of ['a', 'b']) {
      expect(await byKey({ from })).toBe('Hello');
      await expect(byKey({ from })).rejects.toMatchObject({ status: 429 });
    }
  });

  it('is not counted by limits of the module, unless the option transports lists its kind', async () => {
    const outcomes = async (options: RateLimitModuleOptions): Promise<unknown[]> => {
      const app = await start(limited([BotController], { limits: '1/minute', ...options }));
      const free = app.nest.get(BotController).handlerOf('free');
      return [await free({}), await free({}).catch(() => 'refused')];
    };
    expect(await outcomes({})).toEqual(['Hello', 'Hello']);
    expect(await outcomes({ transports: ['http', 'telegram'] })).toEqual(['Hello', 'refused']);
  });

  it.each([
    ['nothing', []],
    ['a message', [{ from: 'a', fails: false }]],
    ['a message and its context', [{ from: 'a', fails: false }, { chat: 1 }]],
  ])('counts as one of an unknown kind if it says http and has no response: %s', async (_what, args) => {
    const app = await start(limited([BotController], { limits: '1/minute' }));
    const bot = app.nest.get(BotController);
    const greet = bot.handlerOf('greet', 'http');
    expect([await greet(...args), await greet(...args)]).toEqual(['Hello', 'Hello']);
    await expect(greet(...args)).rejects.toMatchObject({ status: 429 });
    const free = bot.handlerOf('free', 'http');
    for (let call = 0; call < 3; call++) expect(await free(...args)).toBe('Hello');
  });

  it('counts by outcome if it says http and has no response', async () => {
    const app = await start({ ...limited([]), providers: [BotController] });
    const call = app.nest.get(BotController).handlerOf('byOutcome', 'http');
    for (let time = 0; time < 3; time++) {
      expect(await call({ fails: false })).toBe('Hello');
      await setImmediate(); // what it took is given back after the answer
    }
    await expect(call({ fails: true })).rejects.toThrow('failed');
    await expect(call({ fails: false })).rejects.toMatchObject({ status: 429 });
  });

  it('can be excluded', async () => {
    const app = await start(limited([BotController], { transports: ['http'] }));
    const greet = app.nest.get(BotController).handlerOf('greet');
    for (let call = 0; call < 5; call++) expect(await greet({})).toBe('Hello');
  });
});
