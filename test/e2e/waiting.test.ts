import { setImmediate as immediate } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Controller, Get, UseGuards, type INestApplication, type Type } from '@nestjs/common';
import { GrpcMethod, MessagePattern } from '@nestjs/microservices';
import { Query, Resolver } from '@nestjs/graphql';
import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import {
  applyRateLimits,
  RateLimit,
  RateLimiterService,
  RateLimitGuard,
  StorageError,
  type RateLimitEvent,
  type RateLimitModuleOptions,
} from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { queueOf } from '../../lib/limiter/fair-queue.js';
import { DECIDING_STORAGE } from '../../lib/nest/options/rate-limit.tokens.js';
import type { Storage } from '../../lib/core/storage.js';
import { describeOverGraphql } from '../support/graphql-app.js';
import { everybody, holdWork } from '../support/held-work.js';
import { describeOverHttp, limited, type HttpApp } from '../support/http-app.js';
import { protocols, ServedApp, until, type Exchange, type Protocol } from '../support/http-exchange.js';
import { MapCasServer, MapCasStorage } from '../support/map-cas.storage.js';
import { startGrpcApp } from '../support/grpc-app.js';
import { startRpcApp } from '../support/rpc-app.js';
import { describeOverWebSockets } from '../support/ws-app.js';

const work = holdWork();

@Controller()
class WaitingController {
  @Get('rate')
  @RateLimit('1/second', { name: 'rate', wait: '2 seconds', ...everybody })
  rate() {
    return 'done';
  }

  @Get('queue')
  @RateLimit('1/second', { name: 'queue', wait: { maxWait: '1 minute', maxQueue: 2 }, ...everybody })
  queue() {
    return 'done';
  }

  @Get('slots')
  @RateLimit('1 concurrent', { name: 'slots', wait: '10 seconds', ...everybody })
  slots() {
    return work.do('done');
  }

  @Get('firm')
  @RateLimit('1/second', { name: 'soft', wait: '1 minute', ...everybody })
  @RateLimit('2/hour', { name: 'firm', ...everybody })
  firm() {
    return 'done';
  }

  @Get('shortest')
  @RateLimit('1/second', { name: 'short', wait: '1 second', ...everybody })
  @RateLimit('2 per 10 seconds', { name: 'long', wait: '1 minute', ...everybody })
  shortest() {
    return 'done';
  }

  @Get('shadow')
  @RateLimit('1/second', { name: 'waits', wait: '2 seconds', ...everybody })
  @RateLimit('0/hour', { name: 'shadow', mode: 'shadow', ...everybody })
  shadow() {
    return 'done';
  }

  @Get('failing')
  @RateLimit('1/minute', { name: 'failing', wait: '1 minute', count: 'failure', ...everybody })
  failing() {
    return work.do('done');
  }

  @Get('phases')
  @UseGuards(RateLimitGuard)
  @RateLimit('9/minute', { name: 'early', ...everybody })
  @RateLimit('1/second', { name: 'late', wait: '2 seconds', phase: 'afterAuth', ...everybody })
  phases() {
    return 'done';
  }

  @Get('plan')
  @RateLimit(
    { free: '1/second', pro: { limits: '1/second', wait: '2 seconds' } },
    { name: 'plan', wait: false, ...everybody },
  )
  plan() {
    return 'done';
  }

  @Get('function')
  @RateLimit(() => ({ limits: '1/second', wait: '2 seconds' }), { name: 'function', ...everybody })
  byFunction() {
    return 'done';
  }

  @Get(['ruled', 'early'])
  ruled() {
    return 'done';
  }
}

const apps: ServedApp[] = [];
let clock: ManualClock;

beforeEach(() => {
  clock = new ManualClock();
});

afterEach(async () => {
  await Promise.all(apps.splice(0).map((app) => app.close()));
});

/** Returns the requests that wait, by policy. */
function waitingIn(nest: { get(token: symbol): unknown }): Record<string, number> {
  return Object.fromEntries(queueOf(nest.get(DECIDING_STORAGE) as Storage).waiting());
}

describe.each(protocols)('Requests that wait, on $name', (protocol) => {
  async function start(
    options: RateLimitModuleOptions = {},
    configure?: (app: INestApplication) => void,
    controllers: Type[] = [WaitingController],
    on: Protocol = protocol,
  ): Promise<ServedApp> {
    const app = await ServedApp.start(on, limited(controllers, options, clock), configure);
    apps.push(app);
    return app;
  }

  /** Sends requests one after the other, and waits until each is in line. */
  async function wait(app: ServedApp, path: string, policy: string, count: number): Promise<Exchange[]> {
    const sent: Exchange[] = [];
    const before = waitingIn(app.nest)[policy] ?? 0;
    while (sent.length < count) {
      sent.push(app.client.send(path));
      await until(() => waitingIn(app.nest)[policy] === before + sent.length);
    }
    return sent;
  }

  /** Advances the clock once, and waits until the first in line has been answered. */
  async function pass(app: ServedApp, milliseconds: number, left: Record<string, number>): Promise<void> {
    clock.advance(milliseconds);
    await until(() => JSON.stringify(waitingIn(app.nest)) === JSON.stringify(left));
  }

  it('are answered in order as soon as they are allowed, and one that would wait too long at once', async () => {
    const app = await start();
    expect(await app.client.send('/rate').end).toBe(200);
    const [first, second] = await wait(app, '/rate', 'rate', 2);
    expect(await app.client.send('/rate').end).toBe(429);
    await pass(app, 1000, { rate: 1 });
    expect(await first?.end).toBe(200);
    await pass(app, 1000, {});
    expect(await second?.end).toBe(200);
    expect(app.log.errors).toEqual([]);
  });

  it('are refused at once if the line is full', async () => {
    const app = await start();
    await app.client.send('/queue').end;
    const sent = await wait(app, '/queue', 'queue', 2);
    expect(await app.client.send('/queue').end).toBe(429);
    await pass(app, 1000, { queue: 1 });
    const [next] = await wait(app, '/queue', 'queue', 1);
    await pass(app, 1000, { queue: 1 });
    await pass(app, 1000, {});
    expect(await Promise.all([...sent, next].map(async (one) => one?.end))).toEqual([200, 200, 200]);
  });

  it('for a slot are answered when one is released', async () => {
    const app = await start();
    const first = app.client.send('/slots');
    await until(() => work.begun === 1);
    const sent = await wait(app, '/slots', 'slots', 2);
    work.end();
    expect(await Promise.all([first, ...sent].map(({ end }) => end))).toEqual([200, 200, 200]);
  });

  it('for a slot are refused after their longest wait', async () => {
    const app = await start();
    void app.client.send('/slots');
    await until(() => work.begun === 1);
    const sent = await wait(app, '/slots', 'slots', 2);
    await pass(app, 10_000, {});
    expect(await Promise.all(sent.map(({ end }) => end))).toEqual([429, 429]);
  });

  it('leave the line when their client goes away, and take nothing', async () => {
    const app = await start();
    await app.client.send('/rate').end;
    const [first, second] = await wait(app, '/rate', 'rate', 2);
    first?.reset();
    await until(() => waitingIn(app.nest)['rate'] === 1);
    await pass(app, 1000, {});
    expect(await second?.end).toBe(200);
    expect(app.log.errors).toEqual([]);
  });

  it('are refused when the application closes, which waits for none of them', async () => {
    const app = await start();
    await app.client.send('/queue').end;
    const [exchange] = await wait(app, '/queue', 'queue', 1);
    const closed = app.nest.close();
    expect(await exchange?.status).toBe(429);
    app.client.close();
    await closed;
  });

  it('of a limit by outcome are answered when a hit is returned', async () => {
    const app = await start();
    const first = app.client.send('/failing');
    await until(() => work.begun === 1);
    const [second] = await wait(app, '/failing', 'failing', 1);
    work.end();
    expect(await Promise.all([first.end, second?.end])).toEqual([200, 200]);
  });

  it('are answered after clear and clearPolicy', async () => {
    const app = await start();
    const service = app.nest.get(RateLimiterService);
    for (const clear of [
      () => service.clear({ policy: 'queue' }, 'everybody'),
      () => service.clearPolicy({ policy: 'queue' }),
    ]) {
      while (service.test({ policy: 'queue' }, 'everybody') === true) await app.client.send('/queue').end;
      const [exchange] = await wait(app, '/queue', 'queue', 1);
      await clear();
      expect(await exchange?.end).toBe(200);
    }
  });

  it('wait by rules, also before they are routed, and by those of setRules', async () => {
    const rules = ['ruled', 'early'].map((id) => ({
      id,
      path: `/${id}`,
      limits: '1/second',
      wait: '2 seconds',
      ...everybody,
    }));
    const app = await start({ rules }, applyRateLimits);
    for (const { id, path } of rules) {
      await app.client.send(path).end;
      const [exchange] = await wait(app, path, id, 1);
      await app.nest.get(RateLimiterService).setRules([]);
      await pass(app, 1000, {});
      expect(await exchange?.end).toBe(200);
      await app.nest.get(RateLimiterService).setRules(rules);
    }
  });

  it('wait in a second phase, and take from the first one once', async () => {
    const app = await start();
    await app.client.send('/phases').end;
    const [exchange] = await wait(app, '/phases', 'late', 1);
    await pass(app, 1000, {});
    expect(await exchange?.end).toBe(200);
    const { remaining } = await app.nest.get(RateLimiterService).peek({ policy: 'early' }, 'everybody');
    expect(remaining).toBe(7);
  });

  it('wait by plan and by function', async () => {
    let plan = 'free';
    const app = await start({ plan: () => plan });
    for (const [path, policy] of [
      ['/plan', 'plan'],
      ['/function', 'function'],
    ] as const) {
      await app.client.send(path).end;
      if (path === '/plan') expect(await app.client.send(path).end).toBe(429);
      plan = 'pro';
      const [exchange] = await wait(app, path, policy, 1);
      await pass(app, 1000, {});
      expect(await exchange?.end).toBe(200);
    }
  });
});

describeOverHttp('A request', (startApp) => {
  it('waits only if every limit that refuses it has a wait', async () => {
    const app = await startApp(limited([WaitingController], {}, clock));
    await app.get('/firm');
    clock.advance(1000);
    await app.get('/firm');
    expect((await app.get('/firm')).body).toMatchObject({ statusCode: 429, limit: { name: 'firm' } });
    expect(waitingIn(app.nest)).toEqual({});
  });

  it('waits for the longest time, within the shortest maximum', async () => {
    const app = await startApp(limited([WaitingController], {}, clock));
    await app.get('/shortest');
    const second = app.get('/shortest');
    await until(() => waitingIn(app.nest)['short'] === 1);
    clock.advance(1000);
    expect((await second).status).toBe(200);
    const third = await app.get('/shortest');
    expect([third.status, third.fields['retry-after']]).toEqual([429, '9']);
    clock.advance(1000);
    const fourth = app.get('/shortest');
    await until(() => waitingIn(app.nest)['long'] === 1);
    clock.advance(8000);
    expect((await fourth).status).toBe(200);
  });

  it('that a limit without a wait refuses does not join a line that exists, and starts a block', async () => {
    @Controller()
    class SharedController {
      @Get()
      @RateLimit('1/second', { name: 'shared', wait: '1 minute', ...everybody })
      @RateLimit('1/hour', { name: 'own', key: 'header:x-user', block: '1 day', wait: false })
      find() {}
    }
    const app = await startApp(limited([SharedController], {}, clock));
    const as = (user: string): ReturnType<HttpApp['get']> => app.get('/', { 'x-user': user });
    expect((await as('ann')).status).toBe(200);
    const waiting = as('bob');
    await until(() => waitingIn(app.nest)['shared'] === 1);
    expect((await as('ann')).body).toMatchObject({ limit: { name: 'own' }, retryAfter: 86_400 });
    expect(waitingIn(app.nest)).toEqual({ shared: 1 });
    const behind = as('cid');
    await until(() => waitingIn(app.nest)['shared'] === 2);
    clock.advance(1000);
    expect((await waiting).status).toBe(200);
    clock.advance(1000);
    expect((await behind).status).toBe(200);
  });

  it('does not wait for a limit in shadow', async () => {
    const app = await startApp(limited([WaitingController], {}, clock));
    await app.get('/shadow');
    const second = app.get('/shadow');
    await until(() => waitingIn(app.nest)['waits'] === 1);
    clock.advance(1000);
    expect((await second).status).toBe(200);
  });

  it('tells of a refusal behind others when it may be worth trying again', async () => {
    const app = await startApp(limited([WaitingController], {}, clock));
    await app.get('/queue');
    const sent = [app.get('/queue'), app.get('/queue')];
    await until(() => waitingIn(app.nest)['queue'] === 2);
    const refused = await app.get('/queue');
    expect(refused.status).toBe(429);
    expect(refused.fields).toMatchObject({ 'retry-after': '3', ratelimit: '"queue";r=0;t=1' });
    expect(refused.body).toMatchObject({ limit: { name: 'queue', remaining: 0 }, retryAfter: 3 });
    clock.advance(1000);
    await until(() => waitingIn(app.nest)['queue'] === 1);
    clock.advance(1000);
    expect((await Promise.all(sent)).map(({ status }) => status)).toEqual([200, 200]);
  });

  it('has one event, of the final outcome, and calls onRefused only if it is refused', async () => {
    const refusals: unknown[] = [];
    const app = await startApp(
      limited([WaitingController], { onRefused: ({ binding }) => refusals.push(binding.limit.name) }, clock),
    );
    const service = app.nest.get(RateLimiterService);
    const events: RateLimitEvent['type'][] = [];
    service.events$.subscribe(({ type }) => events.push(type));
    await app.get('/rate');
    events.length = 0;
    const sent = [app.get('/rate'), app.get('/rate')];
    await until(() => waitingIn(app.nest)['rate'] === 2);
    expect(events).toEqual([]);
    await app.get('/rate');
    expect(events).toEqual(['decision', 'refused']);
    clock.advance(1000);
    await until(() => waitingIn(app.nest)['rate'] === 1);
    clock.advance(1000);
    await Promise.all(sent);
    expect(events.filter((type) => type === 'decision')).toHaveLength(3);
    expect(events.filter((type) => type === 'refused')).toHaveLength(1);
    expect(refusals).toEqual(['rate']);
    events.length = 0;
    const byHand = service.waitFor({ policy: 'rate' }, ['everybody']);
    await until(() => waitingIn(app.nest)['rate'] === 1);
    clock.advance(1000);
    await byHand;
    expect(events).toEqual(['decision', 'near-limit']);
  });

  it('shares its line with waitFor', async () => {
    const app = await startApp(limited([WaitingController], {}, clock));
    await app.get('/queue');
    const byHand = app.nest.get(RateLimiterService).waitFor({ policy: 'queue' }, ['everybody']);
    await until(() => waitingIn(app.nest)['queue'] === 1);
    const request = app.get('/queue');
    await until(() => waitingIn(app.nest)['queue'] === 2);
    clock.advance(1000);
    expect((await byHand).allowed).toBe(true);
    await until(() => waitingIn(app.nest)['queue'] === 1);
    clock.advance(1000);
    expect((await request).status).toBe(200);
  });

  it.each<[string, RateLimitModuleOptions['resilience'], number]>([
    ['fails without resilience', false, 500],
    ['is counted in this process in fallback', { denialCache: false }, 200],
    ['is let in with "allow"', { onError: 'allow', lease: {}, denialCache: false }, 200],
    ['is refused with 503 with "deny"', { onError: 'deny', denialCache: false }, 503],
  ])('that waits while the store goes down %s', async (_how, resilience, status) => {
    const server = new MapCasServer();
    const storage = new MapCasStorage(server, { clock });
    const app = await startApp(limited([WaitingController], { storage, resilience }, clock));
    await app.get('/rate');
    const waiting = app.get('/rate');
    await until(() => waitingIn(app.nest)['rate'] === 1);
    server.interfere = () => {
      throw new StorageError('The store is down.');
    };
    clock.advance(1000);
    expect((await waiting).status).toBe(status);
    expect(waitingIn(app.nest)).toEqual({});
  });

  it('does not wait where another limit fails', async () => {
    @Controller()
    class FailingController {
      @Get()
      @RateLimit('1/second', { name: 'waits', wait: '1 minute', ...everybody })
      @RateLimit('9/second', {
        name: 'fails',
        key: () => {
          throw new Error('no key');
        },
      })
      find() {}
    }
    const app = await startApp(limited([FailingController], {}, clock));
    expect(await app.statuses(2, '/')).toEqual([500, 429]);
  });

  it('waits by the option of the module, unless its policy says otherwise', async () => {
    @Controller()
    class DefaultController {
      @Get('waits')
      @RateLimit('1/second', { name: 'waits', ...everybody })
      waits() {}

      @Get('blocks')
      @RateLimit('1/second', { name: 'blocks', block: '1 hour', wait: false, ...everybody })
      blocks() {}
    }
    const app = await startApp(limited([DefaultController], { wait: '2 seconds' }, clock));
    await app.get('/waits');
    const second = app.get('/waits');
    await until(() => waitingIn(app.nest)['waits'] === 1);
    expect(await app.statuses(2, '/blocks')).toEqual([200, 429]);
    clock.advance(1000);
    expect((await second).status).toBe(200);
  });
});

describeOverGraphql('A field that waits', (start) => {
  @Resolver()
  class WaitingResolver {
    @Query(() => String, { nullable: true })
    @RateLimit('1/second', { name: 'field', wait: '2 seconds', ...everybody })
    field() {
      return 'done';
    }
  }

  it('is resolved once it is allowed, and is refused if that takes too long', async () => {
    const app = await start([WaitingResolver], { clock });
    const sent = app.ask('{ a: field, b: field, c: field, d: field }');
    await until(() => waitingIn(app.http.nest)['field'] === 2);
    clock.advance(1000);
    await until(() => waitingIn(app.http.nest)['field'] === 1);
    clock.advance(1000);
    const result = await sent;
    expect(result.data).toEqual({ a: 'done', b: 'done', c: 'done', d: null });
    expect(result.errors?.map(({ path, extensions }) => [path, extensions?.['retryAfter']])).toEqual([
      [['d'], 3],
    ]);
  });

  it('leaves the line with its operation', async () => {
    const app = await start([WaitingResolver], { clock });
    await app.ask('{ field }');
    const aborted = new AbortController();
    const body = JSON.stringify({ query: '{ field }' });
    const headers = { 'content-type': 'application/json' };
    const sent = fetch(app.url, { method: 'POST', headers, body, signal: aborted.signal });
    await until(() => waitingIn(app.http.nest)['field'] === 1);
    aborted.abort();
    await expect(sent).rejects.toThrow('aborted');
    await until(() => waitingIn(app.http.nest)['field'] === undefined);
  });
});

describeOverWebSockets('A message that waits', (start) => {
  @WebSocketGateway()
  class WaitingGateway {
    @RateLimit('2/second', { name: 'connections', wait: '5 seconds', ...everybody })
    handleConnection() {}

    @SubscribeMessage('say')
    @RateLimit('1/second', { name: 'messages', wait: '9 seconds', ...everybody })
    say(_client: unknown, text: string) {
      return { event: 'said', data: text };
    }
  }

  it('is answered once it is allowed, and leaves the line with its connection', async () => {
    const app = await start([WaitingGateway], { clock });
    const [one, other] = [await app.connect(), await app.connect()];
    expect(await one.ask('say', 'a')).toEqual({ event: 'said', data: 'a' });
    const waiting = (): number | undefined => waitingIn(app.http.nest)['messages'];
    for (let sent = 1; sent <= 3; sent++) {
      other.send('say', 'lost');
      await until(() => waiting() === sent);
    }
    one.send('say', 'b');
    await until(() => waiting() === 4);
    other.close();
    await until(() => waiting() === 1);
    clock.advance(1000);
    expect(await one.next()).toEqual({ event: 'said', data: 'b' });
    expect(app.http.log.errors).toEqual([]);
  });

  it('comes after its connection, which waits too', async () => {
    const app = await start([WaitingGateway], { clock });
    await app.connect();
    await app.connect();
    const third = await app.connect();
    await until(() => waitingIn(app.http.nest)['connections'] === 1);
    third.send('say', 'c');
    clock.advance(1000);
    expect(await third.next()).toEqual({ event: 'said', data: 'c' });
  });
});

describe('A message of a microservice that waits', () => {
  @Controller()
  class WaitingHandler {
    @MessagePattern('sum')
    @RateLimit('1/second', { name: 'sum', wait: { maxWait: '9 seconds', maxQueue: 2 }, ...everybody })
    sum() {
      return 'done';
    }
  }

  it('is answered once it is allowed, and leaves the line with its connection', async () => {
    const app = await startRpcApp([WaitingHandler], { clock });
    try {
      const [one, other] = [app.connect(), app.connect()];
      const waiting = (): number | undefined => waitingIn(app.nest)['sum'];
      expect(await one.ask('sum')).toBe('done');
      void other.ask('sum');
      await until(() => waiting() === 1);
      const second = one.ask('sum');
      await until(() => waiting() === 2);
      expect(await one.ask('sum')).toMatchObject({ statusCode: 429 });
      await other.close();
      await until(() => waiting() === 1);
      clock.advance(1000);
      expect(await second).toBe('done');
    } finally {
      await app.close();
    }
  });
});

describe('A message that waits in the second phase', () => {
  @Controller()
  class PhasesHandler {
    @MessagePattern('phases')
    @UseGuards(RateLimitGuard)
    @RateLimit('2 concurrent', { name: 'slots', ...everybody })
    @RateLimit('1/second', { name: 'late', wait: '9 seconds', phase: 'afterAuth', ...everybody })
    phases() {
      return 'done';
    }
  }

  it.each(['leaves', 'fails with the store'])('releases the slots of the first when it %s', async (how) => {
    const server = new MapCasServer();
    const storage = new MapCasStorage(server, { clock });
    const limits: RateLimitModuleOptions = { storage, resilience: { onError: 'deny', denialCache: false } };
    const app = await startRpcApp([PhasesHandler], { clock, limits });
    try {
      const [one, other] = [app.connect(), app.connect()];
      expect(await one.ask('phases')).toBe('done');
      const answer = other.ask('phases');
      await until(() => waitingIn(app.nest)['late'] === 1);
      if (how === 'leaves') await other.close();
      else {
        server.interfere = () => {
          server.interfere = () => undefined;
          throw new StorageError('The store is down.');
        };
        clock.advance(1000);
        expect(await answer).toMatchObject({ statusCode: 503 });
      }
      await until(() => waitingIn(app.nest)['late'] === undefined);
      const service = app.nest.get(RateLimiterService);
      while ((await service.peek({ policy: 'slots' }, 'everybody')).remaining < 2) await immediate();
    } finally {
      await app.close();
    }
  });
});

describe('A call of gRPC that waits', () => {
  /** Lets the functions end that identify calls. */
  let identify = (): void => undefined;
  let identified: Promise<void> | undefined;
  let identifying = 0;
  let cancelled: () => boolean;

  @Controller()
  class EchoController {
    @GrpcMethod('Echo', 'Say')
    @RateLimit('1/second', {
      name: 'say',
      wait: '9 seconds',
      key: async (context) => {
        const call = context.getArgByIndex<{ cancelled: boolean }>(2);
        cancelled = () => call.cancelled;
        identifying++;
        await identified;
        return 'everybody';
      },
    })
    say({ text }: { text: string }) {
      return { text };
    }
  }

  beforeEach(() => {
    identified = undefined;
    identifying = 0;
  });

  it('is answered once it is allowed, and leaves the line when it is cancelled', async () => {
    const { app, connect, close } = await startGrpcApp([EchoController], { clock });
    try {
      const client = connect();
      expect(await client.say('a')).toEqual(['a']);
      const left = client.start('b');
      await until(() => waitingIn(app.nest)['say'] === 1);
      const second = client.say('c');
      await until(() => waitingIn(app.nest)['say'] === 2);
      left.cancel();
      await until(() => waitingIn(app.nest)['say'] === 1);
      clock.advance(1000);
      expect(await second).toEqual(['c']);
      expect(await left.outcome).toMatchObject({ code: 1 });
      expect(app.log.errors).toEqual([]);
    } finally {
      await close();
    }
  });

  it('does not wait if it was cancelled before its limits were known', async () => {
    const { app, connect, close } = await startGrpcApp([EchoController], { clock });
    try {
      const client = connect();
      expect(await client.say('a')).toEqual(['a']);
      identified = new Promise((resolve) => {
        identify = resolve;
      });
      const { cancel } = client.start('b');
      await until(() => identifying === 2);
      cancel();
      await until(() => cancelled());
      identify();
      await immediate();
      await immediate();
      expect(waitingIn(app.nest)).toEqual({});
    } finally {
      await close();
    }
  });
});
