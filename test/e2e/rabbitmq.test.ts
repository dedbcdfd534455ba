import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  Catch,
  Controller,
  Inject,
  Injectable,
  SetMetadata,
  UseFilters,
  UseGuards,
  type ExceptionFilter,
  type INestApplication,
  type Type,
} from '@nestjs/common';
import { ExternalContextCreator } from '@nestjs/core';
import {
  Ctx,
  EventPattern,
  MessagePattern,
  Payload,
  RmqContext,
  Transport,
  type MicroserviceOptions,
} from '@nestjs/microservices';
import { connect, type Channel, type ChannelModel, type ConsumeMessage } from 'amqplib';
import { MemoryStorage, RateLimit, RateLimitExceededException, RateLimitGuard } from 'nestjs-limits';
import { of } from 'rxjs';
import { queueOf } from '../../lib/limiter/fair-queue.js';
import { DECIDING_STORAGE } from '../../lib/nest/options/rate-limit.tokens.js';
import type { Storage } from '../../lib/core/storage.js';
import { MapCasServer, MapCasStorage } from '../support/map-cas.storage.js';
import { startRpcApp, type RpcApp, type RpcAppOptions } from '../support/rpc-app.js';
import { startRabbitMq } from '../support/servers/rabbitmq.js';
import { until, type Server } from '../support/servers/server-process.js';

let server: Server;
let connection: ChannelModel;
let channel: Channel;
/** Names of the queue of a test, and of the one that gets what it rejects. */
let queue: string;
let rejected: string;
let queues = 0;

beforeAll(async () => {
  server = await startRabbitMq();
  connection = await connect(server.uri);
  channel = await connection.createChannel();
}, 120_000);

afterAll(async () => {
  await connection.close();
  await server.stop();
});

beforeEach(async () => {
  queue = `limits-${++queues}`;
  rejected = `${queue}-rejected`;
  await channel.assertQueue(rejected);
});

const running: RpcApp[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((app) => app.close()));
});

/** The microservice on the queue of the test. */
function rabbitMq(noAck: boolean, name = queue, prefetchCount = 3): MicroserviceOptions {
  return {
    transport: Transport.RMQ,
    options: {
      urls: [server.uri],
      queue: name,
      noAck,
      prefetchCount,
      queueOptions: { deadLetterExchange: '', deadLetterRoutingKey: rejected },
    },
  };
}

async function start(controllers: Type[], options: RpcAppOptions & { noAck?: boolean }): Promise<RpcApp> {
  const app = await startRpcApp(controllers, { transport: rabbitMq(options.noAck ?? false), ...options });
  running.push(app);
  return app;
}

/** Closes the application, so that RabbitMQ puts what is not acknowledged back into its queue, and returns how much there is. */
async function left(app: RpcApp): Promise<number> {
  running.splice(running.indexOf(app), 1);
  await app.close();
  return (await channel.checkQueue(queue)).messageCount;
}

/** Returns the data of the messages that were rejected, in their order. */
async function takeRejected(): Promise<unknown[]> {
  const taken: unknown[] = [];
  for (;;) {
    const message = await channel.get(rejected, { noAck: true });
    if (message === false) return taken;
    taken.push((JSON.parse(message.content.toString()) as { data: unknown }).data);
  }
}

const ack = (context: unknown): void => {
  const rmq = context as RmqContext;
  (rmq.getChannelRef() as Channel).ack(rmq.getMessage() as ConsumeMessage);
};

@Controller()
class OrdersController {
  readonly seen: unknown[] = [];

  @EventPattern('limited')
  @RateLimit('2/minute', { key: () => 'everyone' })
  onLimited(@Payload() event: unknown, @Ctx() context: unknown) {
    this.seen.push(event);
    ack(context);
  }

  @EventPattern('other')
  onOther(@Payload() event: unknown, @Ctx() context: unknown) {
    this.seen.push(event);
    ack(context);
  }

  @MessagePattern('ask')
  @RateLimit('2/minute', { key: () => 'everyone' })
  ask(@Payload() data: unknown, @Ctx() context: unknown) {
    ack(context);
    return data;
  }

  @MessagePattern('free')
  free(@Payload() data: unknown, @Ctx() context: unknown) {
    ack(context);
    return data;
  }
}

/** Emits five events of the limited pattern and three of another, and returns what the handlers have seen once all are through. */
async function emitAll(
  app: RpcApp,
  controller: Type<OrdersController> = OrdersController,
): Promise<unknown[]> {
  const client = app.connect();
  for (const event of ['L1', 'L2', 'L3', 'L4', 'L5']) await client.emit('limited', event);
  for (const event of ['O1', 'O2', 'O3']) await client.emit('other', event);
  const { seen } = app.nest.get(controller);
  await until(() => seen.includes('O3'), 'O3 to arrive', 20_000);
  return seen;
}

describe('A refused event of RabbitMQ with noAck: false', () => {
  it('is nacked without requeue, so that the others arrive', async () => {
    const app = await start([OrdersController], {});
    expect(await emitAll(app)).toEqual(['L1', 'L2', 'O1', 'O2', 'O3']);
    expect(app.log.entries).toEqual([]);
    expect(await left(app)).toBe(0);
    expect(await takeRejected()).toEqual(['L3', 'L4', 'L5']);
  });

  it('is acknowledged with refusedMessages: ack, so that it is gone', async () => {
    const app = await start([OrdersController], { limits: { refusedMessages: 'ack' } });
    expect(await emitAll(app)).toEqual(['L1', 'L2', 'O1', 'O2', 'O3']);
    expect(await left(app)).toBe(0);
    expect(await takeRejected()).toEqual([]);
  });

  it('is given back once with refusedMessages: requeue, and then rejected', async () => {
    let calls = 0;
    const countedCost = (): number => {
      calls++;
      return 1;
    };
    @Controller()
    class CountedController {
      readonly seen: unknown[] = [];

      @EventPattern('limited')
      @RateLimit('2/minute', { key: () => 'everyone', cost: countedCost })
      onLimited(@Payload() event: unknown, @Ctx() context: unknown) {
        this.seen.push(event);
        ack(context);
      }
    }
    const app = await start([CountedController], { limits: { refusedMessages: 'requeue' } });
    const client = app.connect();
    for (const event of ['L1', 'L2', 'L3', 'L4', 'L5']) await client.emit('limited', event);
    await until(async () => (await channel.checkQueue(rejected)).messageCount === 3, 'three rejections');
    expect(app.nest.get(CountedController).seen).toEqual(['L1', 'L2']);
    expect(calls).toBe(2 + 2 * 3);
    expect(await left(app)).toBe(0);
    expect(new Set(await takeRejected())).toEqual(new Set(['L3', 'L4', 'L5']));
  });

  it('is left to a filter of the application with refusedMessages: manual', async () => {
    @Catch(RateLimitExceededException)
    class OwnFilter implements ExceptionFilter {
      catch(_error: unknown, host: { switchToRpc(): { getContext(): RmqContext } }) {
        ack(host.switchToRpc().getContext());
        return of(undefined);
      }
    }
    @Controller()
    @UseFilters(OwnFilter)
    class FilteredController extends OrdersController {}
    const app = await start([FilteredController], {
      limits: { refusedMessages: 'manual' },
    });
    expect(await emitAll(app, FilteredController)).toEqual(['L1', 'L2', 'O1', 'O2', 'O3']);
    expect(await left(app)).toBe(0);
    expect(await takeRejected()).toEqual([]);
  });

  it('is nacked too where the application makes the error', async () => {
    const app = await start([OrdersController], {
      limits: { errorFactory: () => new RateLimitError() },
    });
    expect(await emitAll(app)).toEqual(['L1', 'L2', 'O1', 'O2', 'O3']);
    expect(await left(app)).toBe(0);
  });

  it('is nacked too where the store is down and limits refuse then', async () => {
    const storage = new MapCasServer();
    const app = await start([OrdersController], {
      limits: {
        storage: new MapCasStorage(storage),
        resilience: { onError: 'deny', startWithoutStore: true },
      },
    });
    storage.interfere = () => {
      throw new Error('down');
    };
    expect(await emitAll(app)).toEqual(['O1', 'O2', 'O3']);
    expect(await left(app)).toBe(0);
    expect(await takeRejected()).toEqual(['L1', 'L2', 'L3', 'L4', 'L5']);
  });

  it('is nacked once where each of its handlers refuses it', async () => {
    @Controller()
    class FirstController {
      @EventPattern('both')
      @RateLimit('0/minute', { key: () => 'everyone' })
      first(@Payload() event: unknown) {
        throw new Error(`must not get ${String(event)}`);
      }
    }
    @Controller()
    class SecondController {
      @EventPattern('both')
      @RateLimit('0/minute', { key: () => 'everyone' })
      second(@Payload() event: unknown) {
        throw new Error(`must not get ${String(event)}`);
      }
    }
    const app = await start([OrdersController, FirstController, SecondController], {});
    const client = app.connect();
    for (const event of ['B1', 'B2', 'B3', 'B4', 'B5']) await client.emit('both', event);
    expect(await emitAll(app)).toEqual(['L1', 'L2', 'O1', 'O2', 'O3']);
    expect(app.log.entries).toEqual([]);
    expect(await left(app)).toBe(0);
    expect(await takeRejected()).toEqual(['B1', 'B2', 'B3', 'B4', 'B5', 'L3', 'L4', 'L5']);
  });

  it('is nacked too where only the handler has the guard', async () => {
    @Controller()
    @UseGuards(RateLimitGuard)
    class GuardedController extends OrdersController {}
    const app = await start([GuardedController], {
      hybrid: { inheritAppConfig: false },
    });
    expect(await emitAll(app, GuardedController)).toEqual(['L1', 'L2', 'O1', 'O2', 'O3']);
    expect(await left(app)).toBe(0);
    expect(await takeRejected()).toEqual(['L3', 'L4', 'L5']);
  });
});

/** An error of an application that is no exception of Nest. */
class RateLimitError extends Error {}

describe('Messages of RabbitMQ that wait', () => {
  let finish: () => void;

  @Controller()
  class WaitingController {
    readonly seen: unknown[] = [];

    @EventPattern('limited')
    @RateLimit('1 concurrent', { key: () => 'everyone', wait: '1 minute', name: 'slots' })
    async onLimited(@Payload() event: unknown, @Ctx() context: unknown) {
      this.seen.push(event);
      await new Promise<void>((resolve) => {
        finish = resolve;
      });
      ack(context);
    }
  }

  async function begin(hybrid?: RpcAppOptions['hybrid']): Promise<RpcApp> {
    const app = await start([WaitingController], hybrid === undefined ? {} : { hybrid });
    const client = app.connect();
    for (const event of ['L1', 'L2', 'L3']) await client.emit('limited', event);
    const waiting = queueOf(app.nest.get<Storage>(DECIDING_STORAGE));
    await until(() => waiting.waiting().get('slots') === 2, 'two events to wait');
    return app;
  }

  it('are handled in order, each once its slot is free', async () => {
    const app = await begin();
    const { seen } = app.nest.get(WaitingController);
    for (const expected of [['L1'], ['L1', 'L2'], ['L1', 'L2', 'L3']]) {
      await until(() => seen.length === expected.length, `${expected.length} events`);
      expect(seen).toEqual(expected);
      finish();
    }
    await until(async () => (await channel.checkQueue(queue)).messageCount === 0, 'an empty queue');
    expect(await takeRejected()).toEqual([]);
  });

  it.each([undefined, { inheritAppConfig: true }])(
    'are left to the queue when the application closes: hybrid %p',
    async (hybrid) => {
      const app = await begin(hybrid);
      const closed = left(app);
      finish();
      expect(await closed).toBeGreaterThanOrEqual(2);
      expect(await takeRejected()).toEqual([]);
      expect(app.log.errors).toEqual([]);
    },
  );
});

describe('A refused message of RabbitMQ', () => {
  it('gets the error as its reply, and is rejected with noAck: false', async () => {
    const app = await start([OrdersController], { limits: { refusedMessages: 'requeue' } });
    const client = app.connect();
    expect(await client.outcomes(5, 'ask', 'A')).toEqual(['A', 'A', 'refused', 'refused', 'refused']);
    expect(await client.outcomes(5, 'free', 'F')).toEqual(['F', 'F', 'F', 'F', 'F']);
    expect(await left(app)).toBe(0);
    expect(await takeRejected()).toEqual(['A', 'A', 'A']);
  });

  it('needs no acknowledgement without noAck: false, whatever the option says', async () => {
    @Controller()
    class PlainController {
      @MessagePattern('ask')
      @RateLimit('2/minute', { key: () => 'everyone' })
      ask(@Payload() data: unknown) {
        return data;
      }
    }
    for (const refusedMessages of [undefined, 'reject', 'ack', 'requeue'] as const) {
      const app = await start([PlainController], { noAck: true, limits: { refusedMessages } });
      const client = app.connect();
      expect(await client.outcomes(4, 'ask', 'A')).toEqual(['A', 'A', 'refused', 'refused']);
      expect(app.log.entries).toEqual([]);
      expect(await left(app)).toBe(0);
    }
    expect(await takeRejected()).toEqual([]);
  });

  it('is settled as its own queue says where an application has several', async () => {
    @Controller()
    class BothController {
      @MessagePattern('ask')
      @RateLimit('0/minute', { key: () => 'everyone' })
      ask() {
        return 'never';
      }
    }
    const app = await start([BothController], { noAck: false, hybrid: { inheritAppConfig: true } });
    const other = `${queue}-other`;
    const nest = app.nest as INestApplication;
    await nest.connectMicroservice(rabbitMq(true, other), { inheritAppConfig: true }).listen();
    expect(await app.connect().outcomes(4, 'ask', 'A')).toEqual(new Array(4).fill('refused'));
    expect(await app.connect('', rabbitMq(true, other)).outcomes(4, 'ask', 'B')).toEqual(
      new Array(4).fill('refused'),
    );
    expect(app.log.entries).toEqual([]);
    expect(await takeRejected()).toEqual(['A', 'A', 'A', 'A']);
  });
});

describe('An event of RabbitMQ that waits', () => {
  const ON_REAL_TIME = { limits: { storage: new MemoryStorage() } };

  @Controller()
  class PatientController extends OrdersController {
    @EventPattern('limited')
    @RateLimit('1 per 100 milliseconds', { key: () => 'everyone', wait: '10 seconds' })
    override onLimited(@Payload() event: unknown, @Ctx() context: unknown) {
      super.onLimited(event, context);
    }
  }

  it('counts towards the prefetchCount, so that events behind it wait too', async () => {
    const transport = rabbitMq(false, queue, 1);
    const app = await start([PatientController], { ...ON_REAL_TIME, transport });
    const all = ['L1', 'L2', 'L3', 'L4', 'L5', 'O1', 'O2', 'O3'];
    expect(await emitAll(app, PatientController)).toEqual(all);
    expect(await left(app)).toBe(0);
    expect(await takeRejected()).toEqual([]);
  });

  it('lets others pass as far as the prefetchCount allows', async () => {
    const app = await start([PatientController], ON_REAL_TIME);
    const seen = await emitAll(app, PatientController);
    await until(() => seen.length === 8, 'all events to arrive', 20_000);
    expect(seen.filter((event) => String(event).startsWith('L'))).toEqual(['L1', 'L2', 'L3', 'L4', 'L5']);
    expect(seen.indexOf('O1')).toBeLessThan(seen.indexOf('L5'));
    expect(await left(app)).toBe(0);
    expect(await takeRejected()).toEqual([]);
  });
});

/** The calls of the limiter. */
let calls = 0;

function countedCost(): number {
  calls++;
  return 1;
}

/** Calls a handler with the data of a message and the message, as libraries do that give what throws back to the queue. */
@Injectable()
class RequeueingConsumer {
  readonly seen: unknown[] = [];
  acknowledged = 0;

  constructor(@Inject(ExternalContextCreator) private readonly contexts: ExternalContextCreator) {}

  @SetMetadata('rmq:handler', 'limited')
  @RateLimit('2/minute', { key: () => 'everyone', cost: countedCost })
  limited(data: unknown) {
    this.seen.push(data);
  }

  free(data: unknown) {
    this.seen.push(data);
  }

  async subscribe(method: 'limited' | 'free'): Promise<void> {
    const nothing = [undefined, undefined, undefined, undefined, undefined] as const;
    const callback = RequeueingConsumer.prototype[method];
    const handler = this.contexts.create(this, callback, method, ...nothing, 'rmq');
    await channel.assertQueue(queue);
    await channel.consume(queue, (message) => {
      if (message === null) return;
      void handler(JSON.parse(message.content.toString()), message).then(
        () => {
          channel.ack(message);
          this.acknowledged++;
        },
        () => channel.nack(message, false, true),
      );
    });
  }
}

describe('A library that gives what throws back to the queue', () => {
  async function consume(
    method: 'limited' | 'free',
    limits: NonNullable<RpcAppOptions['limits']>,
  ): Promise<unknown[]> {
    calls = 0;
    const app = await startRpcApp([], { limits, module: { providers: [RequeueingConsumer] } });
    running.push(app);
    const consumer = app.nest.get(RequeueingConsumer);
    await consumer.subscribe(method);
    for (const message of ['L1', 'L2', 'L3', 'L4', 'L5', 'last'])
      channel.sendToQueue(queue, Buffer.from(JSON.stringify(message)));
    await until(() => consumer.acknowledged === 6, 'the last acknowledgement', 20_000);
    return consumer.seen;
  }

  it.each(['reject', 'requeue'] as const)(
    'calls the limiter at most twice for a message, with refusedMessages: %s',
    async (refusedMessages) => {
      expect(await consume('limited', { refusedMessages })).toEqual(['L1', 'L2']);
      expect(calls).toBe(2 + 2 * 4);
    },
  );

  it('gets no error with refusedMessages: ack', async () => {
    expect(await consume('limited', { refusedMessages: 'ack' })).toEqual(['L1', 'L2']);
    expect(calls).toBe(6);
  });

  it('is not limited by limits of the module', async () => {
    expect(await consume('free', { limits: [{ limits: '2/minute', cost: countedCost }] })).toEqual([
      'L1',
      'L2',
      'L3',
      'L4',
      'L5',
      'last',
    ]);
    expect(calls).toBe(0);
  });
});
