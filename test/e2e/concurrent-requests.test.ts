import { afterEach, describe, expect, it } from '@jest/globals';
import {
  Controller,
  ForbiddenException,
  Get,
  Sse,
  StreamableFile,
  UseGuards,
  UseInterceptors,
  type CallHandler,
  type CanActivate,
  type ExecutionContext,
  type INestApplication,
  type NestInterceptor,
  type Type,
} from '@nestjs/common';
import {
  applyRateLimits,
  MemoryStorage,
  RateLimit,
  RateLimiterService,
  RateLimitGuard,
  type BatchResult,
  type Hit,
  type RateLimitModuleOptions,
} from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { PassThrough } from 'node:stream';
import { concat, NEVER, of, Subject, throwError, timeout, type Observable } from 'rxjs';
import { Gate } from '../support/gate.js';
import { everybody, holdWork } from '../support/held-work.js';
import { describeOverHttp, limited } from '../support/http-app.js';
import { protocols, ServedApp, until, type Exchange, type Protocol } from '../support/http-exchange.js';

const work = holdWork();

class Refusing implements CanActivate {
  canActivate(): boolean {
    throw new ForbiddenException();
  }
}

@Controller()
class ExportController {
  @Get('export')
  @RateLimit('2 concurrent', { name: 'export', ...everybody })
  export() {
    return work.do('done');
  }

  @Get('mixed')
  @RateLimit('3/minute; 2 concurrent', { name: 'mixed', ...everybody })
  mixed() {
    return work.do('done');
  }

  @Get('failing')
  @RateLimit('1 concurrent', { name: 'failing', ...everybody })
  failing(): Observable<string> {
    return throwError(() => new ForbiddenException());
  }

  @Get('guarded')
  @UseGuards(Refusing)
  @RateLimit('1 concurrent', { name: 'guarded', ...everybody })
  guarded() {
    return work.do('done');
  }

  @Get('phases')
  @UseGuards(RateLimitGuard)
  @RateLimit('1 concurrent', { name: 'early', ...everybody })
  @RateLimit('0/minute', { name: 'late', phase: 'afterAuth', ...everybody })
  phases() {
    return work.do('done');
  }

  @Sse('events')
  @RateLimit('1 concurrent', { name: 'events', ...everybody })
  events(): Observable<{ data: string }> {
    work.begun++;
    return concat(of({ data: 'one' }), NEVER);
  }

  @Get('by-outcome')
  @RateLimit('5/minute; 2 concurrent', { name: 'outcome', count: 'failure', ...everybody })
  byOutcome() {
    return work.do('done');
  }

  @Get(['by-rule', 'by-middleware'])
  byRule() {
    return work.do('done');
  }
}

const apps: ServedApp[] = [];

afterEach(async () => {
  await Promise.all(apps.splice(0).map((app) => app.close()));
});

async function start(
  protocol: Protocol,
  options: RateLimitModuleOptions = {},
  configure?: (app: INestApplication) => void,
  controllers: Type[] = [ExportController],
): Promise<ServedApp> {
  const app = await ServedApp.start(protocol, limited(controllers, options), configure);
  apps.push(app);
  return app;
}

/** Returns the free slots of a policy, or what is left of its rate. */
async function left(app: ServedApp, policy: string): Promise<number[]> {
  const decision = await app.nest.get(RateLimiterService).peek({ policy }, 'everybody');
  return decision.limits.map(({ remaining }) => remaining);
}

/** Sends requests and waits until their handlers have begun. */
async function begin(app: ServedApp, path: string, count: number): Promise<Exchange[]> {
  const before = work.begun;
  const sent = Array.from({ length: count }, () => app.client.send(path));
  await until(() => work.begun === before + count);
  return sent;
}

describe.each(protocols)('Concurrent requests, on $name', (protocol) => {
  it('hold slots until they are answered, and one too many is refused', async () => {
    const app = await start(protocol);
    const sent = await begin(app, '/export', 2);
    expect(await app.client.send('/export').end).toBe(429);
    work.end();
    expect(await Promise.all(sent.map(({ end }) => end))).toEqual([200, 200]);
    await app.untilClosed(3);
    expect(await left(app, 'export')).toEqual([2]);
    expect(await app.client.send('/export').end).toBe(200);
  });

  it('hold their slots while the handler runs, even if their clients leave', async () => {
    const app = await start(protocol);
    for (const exchange of await begin(app, '/export', 2)) exchange.reset();
    await app.untilClosed(2);
    expect(await left(app, 'export')).toEqual([0]);
    work.end();
    await app.untilClosed(2);
    expect(await left(app, 'export')).toEqual([2]);
  });

  it('never run above the limit, although clients reset each request while its handler runs', async () => {
    const gate = new Gate();
    let most = 0;
    @Controller()
    class ResetController {
      @Get('reset')
      @RateLimit('2 concurrent', { name: 'reset', ...everybody })
      async reset() {
        work.begun++;
        most = Math.max(most, gate.waiting + 1);
        await gate.pass();
      }
    }
    const app = await start(protocol, {}, undefined, [ResetController]);
    for (let attack = 1; attack <= 60; attack++) {
      const before = work.begun;
      const exchange = app.client.send('/reset');
      let status = 0;
      void exchange.end.then((answered) => {
        status = answered;
      });
      await until(() => work.begun > before || status === 429);
      exchange.reset();
      await app.untilClosed(attack);
      if (attack % 10 === 0) {
        gate.open();
        await until(() => gate.waiting === 0);
      }
    }
    expect([most, work.begun]).toEqual([2, 12]);
    expect(await left(app, 'reset')).toEqual([2]);
  });

  it('hold their slots while the handler runs, even if an interceptor of the application times out', async () => {
    class TimeoutInterceptor implements NestInterceptor {
      intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
        return next.handle().pipe(timeout(1));
      }
    }
    @Controller()
    @UseInterceptors(TimeoutInterceptor)
    class TimedController {
      @Get('timed')
      @RateLimit('2 concurrent', { name: 'timed', ...everybody })
      timed() {
        return work.do('done');
      }
    }
    const app = await start(protocol, {}, undefined, [TimedController]);
    const statuses = [];
    for (let time = 1; time <= 3; time++) statuses.push(await app.client.send('/timed').end);
    await app.untilClosed(3);
    expect([statuses, work.begun, await left(app, 'timed')]).toEqual([[500, 500, 429], 2, [0]]);
    work.end();
    await app.untilClosed(3);
    expect(await left(app, 'timed')).toEqual([2]);
  });

  it.each<[string, RateLimitModuleOptions['limits']]>([
    ['a list', [{ limits: ['9/minute', '1 concurrent'], ...everybody }]],
    ['an object of a plan', [{ plans: { pro: { limits: ['1 concurrent'] } }, ...everybody }]],
    ['an object that a function returns', [{ limits: () => ({ limits: '1 concurrent' }), ...everybody }]],
  ])('hold their slots while the handler runs, with limits in %s', async (_form, limits) => {
    const app = await start(protocol, { limits, plan: () => 'pro' });
    for (const exchange of await begin(app, '/by-rule', 1)) exchange.reset();
    await app.untilClosed(1);
    expect(await app.client.send('/by-rule').end).toBe(429);
    work.end();
    await app.untilClosed(2);
    expect(await app.client.send('/by-rule').end).toBe(200);
  });

  it('have free slots after clearPolicy, and release none twice', async () => {
    const app = await start(protocol);
    const sent = await begin(app, '/export', 2);
    await app.nest.get(RateLimiterService).clearPolicy({ policy: 'export' });
    expect(await left(app, 'export')).toEqual([2]);
    work.end();
    expect(await Promise.all(sent.map(({ end }) => end))).toEqual([200, 200]);
    await app.untilClosed(2);
    expect(await left(app, 'export')).toEqual([2]);
  });

  it('that are streams hold slots until the stream ends', async () => {
    const app = await start(protocol);
    const [stream] = await begin(app, '/events', 1);
    await stream?.firstData;
    expect(await app.client.send('/events').end).toBe(429);
    stream?.reset();
    await app.untilClosed(2);
    expect(await left(app, 'events')).toEqual([1]);
  });

  it('that are streams without an event yet, of no declared type, hold no slot after their clients leave', async () => {
    @Controller()
    class SilentController {
      @Sse('silent')
      @RateLimit('1 concurrent', { name: 'silent', ...everybody })
      silent(): unknown {
        work.begun++;
        return NEVER;
      }
    }
    const app = await start(protocol, {}, undefined, [SilentController as Type]);
    const [stream] = await begin(app, '/silent', 1);
    expect(await left(app, 'silent')).toEqual([0]);
    stream?.reset();
    await app.untilClosed(1);
    expect(await left(app, 'silent')).toEqual([1]);
  });

  it('that are streams free their slots when the stream breaks off, once its header is sent', async () => {
    const source = new Subject<{ data: string }>();
    @Controller()
    class BreakingController {
      @Sse('events')
      @RateLimit('1 concurrent', { name: 'events', ...everybody })
      events(): Observable<{ data: string }> {
        work.begun++;
        return concat(of({ data: 'one' }), source);
      }
    }
    const app = await start(protocol, {}, undefined, [BreakingController]);
    const [stream] = await begin(app, '/events', 1);
    await stream?.firstData;
    expect(await left(app, 'events')).toEqual([0]);
    source.error(new Error('broken'));
    expect(await stream?.end).toBe(200);
    await app.untilClosed(1);
    expect(await left(app, 'events')).toEqual([1]);
  });

  it.each<[string, (body: PassThrough, exchange: Exchange) => unknown]>([
    ['it is sent', (body) => body.end()],
    ['its client leaves', (_body, exchange) => exchange.reset()],
    ['reading it fails', (body) => body.destroy(new Error('broken'))],
  ])('for a file hold slots until %s', async (_when, end) => {
    const body = new PassThrough();
    @Controller()
    class FileController {
      @Get('file')
      @RateLimit('1 concurrent', { name: 'file', ...everybody })
      file() {
        work.begun++;
        return new StreamableFile(body, { type: 'text/plain' });
      }
    }
    const app = await start(protocol, {}, undefined, [FileController]);
    const [exchange] = await begin(app, '/file', 1);
    body.write('one');
    await exchange?.firstData;
    expect([await left(app, 'file'), await app.client.send('/file').end]).toEqual([[0], 429]);
    end(body, exchange as Exchange);
    await app.untilClosed(2);
    expect(await left(app, 'file')).toEqual([1]);
  });

  it('hold no slot after their handler has thrown, or a guard has refused them', async () => {
    const app = await start(protocol);
    const statuses = [];
    for (const path of ['/failing', '/failing', '/guarded', '/guarded', '/phases'])
      statuses.push(await app.client.send(path).end);
    expect(statuses).toEqual([403, 403, 403, 403, 429]);
    await app.untilClosed(5);
    expect(await Promise.all(['failing', 'guarded', 'early'].map((policy) => left(app, policy)))).toEqual([
      [1],
      [1],
      [1],
    ]);
  });

  it('give their slots back at once if they are over before the decision', async () => {
    const storage = new SlowStorage({ clock: new ManualClock() });
    const app = await start(protocol, { storage });
    const exchange = app.client.send('/export');
    await until(() => storage.waiting === 1);
    exchange.reset();
    await app.untilClosed(1);
    storage.answer();
    await app.untilClosed(1);
    expect(await left(app, 'export')).toEqual([2]);
    expect(work.begun).toBe(0);
  });

  it('whose client leaves before the handler never reach it', async () => {
    let guarded = 0;
    class SlowGuard implements CanActivate {
      async canActivate(): Promise<boolean> {
        guarded++;
        await work.ended;
        return true;
      }
    }
    @Controller()
    class SlowController {
      @Get('slow')
      @UseGuards(SlowGuard)
      @RateLimit('1 concurrent', { name: 'slow', ...everybody })
      slow() {
        work.begun++;
      }
    }
    const app = await start(protocol, {}, undefined, [SlowController]);
    const exchange = app.client.send('/slow');
    await until(() => guarded === 1);
    exchange.reset();
    await app.untilClosed(1);
    expect(await left(app, 'slow')).toEqual([1]);
    work.end();
    await app.untilClosed(1);
    expect([work.begun, await left(app, 'slow')]).toEqual([0, [1]]);
    expect(app.log.errors).toEqual([]);
  });

  it('take of a rate only what it admits, and return nothing to it', async () => {
    const app = await start(protocol);
    await begin(app, '/mixed', 2);
    expect(await app.client.send('/mixed').end).toBe(429);
    expect(await left(app, 'mixed')).toEqual([1, 0]);
    work.end();
    await app.untilClosed(3);
    expect(await left(app, 'mixed')).toEqual([1, 2]);
  });

  it('hold slots whatever their outcome counts', async () => {
    const app = await start(protocol);
    await begin(app, '/by-outcome', 2);
    expect(await left(app, 'outcome')).toEqual([3, 0]);
    work.end();
    await app.untilClosed(2);
    expect(await left(app, 'outcome')).toEqual([5, 2]);
  });

  it('are limited by rules, also before they are routed', async () => {
    const rules = ['by-rule', 'by-middleware'].map((id) => ({
      id,
      path: `/${id}`,
      limits: '1 concurrent',
      ...everybody,
    }));
    const app = await start(protocol, { rules }, applyRateLimits);
    for (const { id, path } of rules) {
      const [exchange] = await begin(app, path, 1);
      exchange?.reset();
      await app.untilClosed(1);
      expect(await left(app, id)).toEqual([0]);
      expect(await app.client.send(path).end).toBe(429);
    }
    work.end();
    await app.untilClosed(4);
    expect(await left(app, 'by-rule')).toEqual([1]);
  });
});

/** A memory storage whose answers wait. */
class SlowStorage extends MemoryStorage {
  waiting = 0;
  answer: () => void = () => undefined;

  // @ts-expect-error: a promise, as of a server
  override async consume(batch: readonly Hit[]): Promise<BatchResult> {
    const result = super.consume(batch);
    this.waiting++;
    await new Promise<void>((resolve) => {
      this.answer = resolve;
    });
    return result;
  }
}

describeOverHttp('A refusal of concurrent requests', (startApp) => {
  it('tells how many may run, and no time', async () => {
    const app = await startApp(limited([ExportController], { headers: { legacy: true } }));
    const requests = [app.get('/export'), app.get('/export')];
    await until(() => work.begun === 2);
    const refused = await app.get('/export');
    work.end();
    const [first] = await Promise.all(requests);
    expect(refused.status).toBe(429);
    expect(refused.fields).toEqual({
      'ratelimit-policy': '"export";q=2;qu="concurrent-requests"',
      ratelimit: '"export";r=0',
    });
    expect(refused.body).toEqual({
      statusCode: 429,
      error: 'Too Many Requests',
      message: 'Rate limit "export" exceeded: 2 at once. Try again when one of your requests has ended.',
      limit: { name: 'export', amount: 2, period: null, remaining: 0 },
      retryAfter: null,
    });
    expect(first?.fields['ratelimit']).toBe('"export";r=1');
  });

  it('names the rate if that refuses too, with its time', async () => {
    const app = await startApp(limited([ExportController], { headers: { legacy: true } }));
    const requests = [app.get('/mixed'), app.get('/mixed')];
    await until(() => work.begun === 2);
    const refused = await app.get('/mixed');
    expect(refused.body).toMatchObject({ limit: { name: 'mixed/concurrent' }, retryAfter: null });
    expect(refused.fields).toMatchObject({
      'ratelimit-policy': '"mixed/minute";q=3;w=60, "mixed/concurrent";q=2;qu="concurrent-requests"',
      ratelimit: '"mixed/minute";r=1;t=60, "mixed/concurrent";r=0',
      'x-ratelimit-limit': '3',
      'x-ratelimit-remaining': '1',
    });
    work.end();
    await Promise.all(requests);
    expect((await app.get('/mixed')).status).toBe(200);
    expect((await app.get('/mixed')).body).toMatchObject({ limit: { name: 'mixed/minute' }, retryAfter: 60 });
  });
});

describeOverHttp('Limits of concurrent requests', (startApp) => {
  it('apply by plan and by function, and to all routes', async () => {
    @Controller()
    class PlanController {
      @Get('plan')
      @RateLimit({ free: '1 concurrent', pro: '2 concurrent; 9/minute' }, { name: 'plan' })
      plan() {
        return work.do('done');
      }

      @Get('function')
      @RateLimit(() => '1 concurrent', { name: 'function' })
      byFunction() {
        return work.do('done');
      }

      @Get('module')
      module() {
        return work.do('done');
      }
    }
    let plan = 'pro';
    const app = await startApp(
      limited([PlanController], { limits: '3 concurrent; 100/second', plan: () => plan }),
    );
    const requests = ['/plan', '/plan', '/function'].map((path) => app.get(path));
    await until(() => work.begun === 3);
    expect((await app.get('/plan')).body).toMatchObject({ limit: { name: 'default/concurrent', amount: 3 } });
    plan = 'free';
    expect((await app.get('/module')).status).toBe(429);
    work.end();
    expect((await Promise.all(requests)).map(({ status }) => status)).toEqual([200, 200, 200]);
  });

  it('are given back by service by their policy, too', async () => {
    const app = await startApp(limited([ExportController]));
    const service = app.nest.get(RateLimiterService);
    const slot = await service.acquire({ policy: 'export' }, ['everybody'], { cost: 2 });
    expect((await app.get('/export')).status).toBe(429);
    await slot.release();
    work.end();
    expect((await app.get('/export')).status).toBe(200);
  });

  it('hold nothing once the application has shut down', async () => {
    const storage = new MemoryStorage();
    const app = await startApp(limited([ExportController], { storage }));
    const service = app.nest.get(RateLimiterService);
    await service.acquire('1 concurrent', ['job']);
    expect((await service.peek('1 concurrent', 'job')).remaining).toBe(0);
    await app.close();
    expect((await service.peek('1 concurrent', 'job')).remaining).toBe(1);
  });
});
