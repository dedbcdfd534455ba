import { expect, it } from '@jest/globals';
import {
  Controller,
  Get,
  HttpCode,
  Post,
  Req,
  UnauthorizedException,
  UseGuards,
  type CanActivate,
  type ExecutionContext,
} from '@nestjs/common';
import {
  Decision,
  MemoryStorage,
  RateLimit,
  RateLimiterService,
  RateLimitInfo,
  type RequestOutcome,
} from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { request, type Server } from 'node:http';
import { setImmediate as immediate } from 'node:timers/promises';
import { describeOverHttp, limited, type HttpApp } from '../support/http-app.js';
import { until } from '../support/http-exchange.js';

interface WithHeaders {
  readonly headers: Record<string, string | undefined>;
}

const password = (word: string): Record<string, string> => ({ 'x-password': word });
const isRight = (req: WithHeaders): boolean => req.headers['x-password'] === 'right';

class PasswordGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    if (isRight(context.switchToHttp().getRequest<WithHeaders>())) return true;
    throw new UnauthorizedException();
  }
}

/** The promise that a handler awaits. */
let gate: Promise<void> = Promise.resolve();

const outcomes: RequestOutcome[] = [];

@Controller()
class LoginController {
  tries = 0;

  @Post('login')
  @HttpCode(200)
  @RateLimit('5/minute', { name: 'login', count: 'failure' })
  login(@Req() req: WithHeaders) {
    this.tries++;
    if (!isRight(req)) throw new UnauthorizedException();
    return '';
  }

  @Get('guarded')
  @UseGuards(PasswordGuard)
  @RateLimit('2/minute', { name: 'guarded', count: 'failure' })
  guarded() {
    return '';
  }

  @Get('success')
  @RateLimit('2/minute', { name: 'success', count: 'success' })
  success(@Req() req: WithHeaders) {
    if (!isRight(req)) throw new UnauthorizedException();
    return '';
  }

  @Get('function')
  @RateLimit('2/minute', {
    name: 'function',
    count: (_context, outcome) => {
      outcomes.push(outcome);
      return outcome.statusCode === 401;
    },
  })
  byFunction(@Req() req: WithHeaders) {
    if (req.headers['x-password'] === undefined) throw new Error('broken');
    if (!isRight(req)) throw new UnauthorizedException();
    return '';
  }

  @Get('failing')
  @RateLimit('2/minute', {
    name: 'failing',
    count: () => {
      throw new Error('no outcome');
    },
  })
  failing() {
    return '';
  }

  @Get('failing-beside')
  @RateLimit('5/minute', {
    name: 'broken',
    count: () => {
      throw new Error('no outcome');
    },
  })
  @RateLimit('5/minute', { name: 'working', count: 'failure' })
  failingBeside() {
    return '';
  }

  @Get('both')
  @RateLimit('5/minute', { count: 'failure' })
  @RateLimit('9/hour')
  both() {
    return '';
  }

  @Get('beside')
  @RateLimit('5/minute', { name: 'failures', count: 'failure' })
  @RateLimit('1/minute', { name: 'all' })
  beside() {
    return '';
  }

  @Get('slow')
  @RateLimit('2/minute', { name: 'slow', count: 'failure' })
  async slow() {
    await gate;
    return '';
  }

  @Get('slow-function')
  @RateLimit('2/minute', {
    name: 'slow-function',
    count: (_context, outcome) => {
      outcomes.push(outcome);
      return false;
    },
  })
  async slowFunction() {
    await gate;
    return '';
  }

  @Get('slow-success')
  @RateLimit('2/minute', { name: 'slow-success', count: 'success' })
  async slowSuccess() {
    await gate;
    throw new UnauthorizedException();
  }

  @Get('weighted')
  @RateLimit('10/minute', { name: 'weighted', count: 'failure', cost: 4, strategy: 'token-bucket' })
  weighted() {
    return '';
  }

  @Get('blocking')
  @RateLimit('1/minute', { name: 'blocking', count: 'failure', block: '1 hour' })
  blocking(@Req() req: WithHeaders) {
    if (!isRight(req)) throw new UnauthorizedException();
    return '';
  }
}

@Controller()
class HandController {
  constructor(private readonly limiter: RateLimiterService) {}

  @Post('by-hand')
  @HttpCode(200)
  @RateLimit('3/minute', { name: 'guesses', count: 'failure' })
  async byHand(@Req() req: WithHeaders, @RateLimitInfo() decision: Decision) {
    if (!isRight(req)) throw new UnauthorizedException();
    await this.limiter.refund(decision);
    return '';
  }

  @Post('charged')
  @HttpCode(200)
  @RateLimit('10/minute', { name: 'charged', count: 'failure' })
  async charged(@RateLimitInfo() decision: Decision) {
    await this.limiter.settle(decision, 4);
    return '';
  }

  @Post('in-flight')
  @HttpCode(200)
  @RateLimit('5/minute', { name: 'in-flight', count: 'failure', block: '15 minutes' })
  async inFlight(@Req() req: WithHeaders) {
    await gate;
    if (!isRight(req)) throw new UnauthorizedException();
    return '';
  }
}

/** The remaining units of a policy after the response has been settled. */
async function left(app: HttpApp, policy: string): Promise<number> {
  for (let turn = 0; turn < 3; turn++) await immediate();
  return (await app.nest.get(RateLimiterService).peek({ policy }, '127.0.0.1')).remaining;
}

describeOverHttp('A limit that counts failures only', (start) => {
  it('refunds a success, and keeps a failure', async () => {
    const app = await start(limited([LoginController]));
    expect((await app.post('/login', password('right'))).remaining).toBe('"login";r=4');
    expect(await left(app, 'login')).toBe(5);
    expect((await app.post('/login')).status).toBe(401);
    expect(await left(app, 'login')).toBe(4);
    for (let success = 0; success < 20; success++) {
      expect((await app.post('/login', password('right'))).status).toBe(200);
      await left(app, 'login');
    }
    expect(await left(app, 'login')).toBe(4);
  });

  it('allows exactly five of 200 parallel wrong passwords at 5/minute', async () => {
    const app = await start(limited([LoginController]));
    const replies = await Promise.all(
      Array.from({ length: 200 }, () => app.post('/login', password('wrong'))),
    );
    expect(app.nest.get(LoginController).tries).toBe(5);
    expect(replies.filter(({ status }) => status === 401)).toHaveLength(5);
    expect(replies.filter(({ status }) => status === 429)).toHaveLength(195);
    expect((await app.post('/login', password('right'))).status).toBe(429);
    expect(await left(app, 'login')).toBe(0);
  });

  it('counts requests that a guard behind it refuses', async () => {
    const app = await start(limited([LoginController]));
    expect((await app.get('/guarded', password('right'))).status).toBe(200);
    expect(await left(app, 'guarded')).toBe(2);
    expect(await app.statuses(3, '/guarded')).toEqual([401, 401, 429]);
    expect(await left(app, 'guarded')).toBe(0);
  });

  it('counts requests that the client aborts, or aborting each guess would be free', async () => {
    const app = await start(limited([LoginController]));
    let open: () => void = () => undefined;
    gate = new Promise((resolve) => {
      open = resolve;
    });
    const url = await app.nest.getUrl();
    let closed = 0;
    (app.nest.getHttpServer() as Server).on('connection', (socket) => socket.once('close', () => closed++));
    for (const path of ['/slow', '/slow-success']) {
      const policy = path.slice(1);
      const aborted = request(url.replace('[::1]', '127.0.0.1') + path, { agent: false });
      aborted.on('error', () => undefined).end();
      while ((await left(app, policy)) === 2) await immediate();
      aborted.destroy();
    }
    await until(() => closed === 2);
    open();
    for (let turn = 0; turn < 20; turn++) await immediate();
    expect(await left(app, 'slow')).toBe(1);
    expect(await left(app, 'slow-success')).toBe(1);
    expect((await app.get('/slow')).status).toBe(200);
    expect(await left(app, 'slow')).toBe(1);
  });

  it('does not refund other limits with the same name', async () => {
    const app = await start(limited([LoginController]));
    expect((await app.get('/both')).remaining).toBe('"default/minute";r=4, "default/hour";r=8');
    await left(app, 'login');
    expect((await app.get('/both')).remaining).toBe('"default/minute";r=4, "default/hour";r=7');
  });

  it('takes nothing for a request that another limit refuses', async () => {
    const app = await start(limited([LoginController]));
    expect(await app.statuses(3, '/beside')).toEqual([200, 429, 429]);
    expect(await left(app, 'failures')).toBe(5);
  });

  it('refunds the cost of the request', async () => {
    const app = await start(limited([LoginController]));
    expect((await app.get('/weighted')).remaining).toBe('"weighted";r=6');
    expect(await left(app, 'weighted')).toBe(10);
  });

  it('blocks once there are too many failures', async () => {
    const clock = new ManualClock();
    const app = await start(limited([LoginController], { storage: new MemoryStorage({ clock }) }, clock));
    expect((await app.get('/blocking', password('right'))).status).toBe(200);
    await left(app, 'blocking');
    expect(await app.statuses(2, '/blocking')).toEqual([401, 429]);
    expect((await app.get('/blocking', password('right'))).headers.get('retry-after')).toBe('3600');
    clock.advance(3_600_000);
    expect((await app.get('/blocking', password('right'))).status).toBe(200);
  });

  it('refunds a success once, even if its handler refunds it too', async () => {
    const app = await start(limited([HandController]));
    const tried: number[] = [];
    for (let guess = 0; guess < 20; guess++) {
      tried.push((await app.post('/by-hand')).status);
      await left(app, 'guesses');
      await app.post('/by-hand', password('right'));
      await left(app, 'guesses');
    }
    expect(tried.filter((status) => status === 401)).toHaveLength(3);
  });

  it('keeps the cost to which a handler has settled a success', async () => {
    const app = await start(limited([HandController]));
    expect((await app.post('/charged')).status).toBe(200);
    expect(await left(app, 'charged')).toBe(6);
  });

  it('does not block for successes in flight, and does for as many failures', async () => {
    const app = await start(limited([HandController]));
    const sixAtOnce = async (word: string): Promise<unknown[]> => {
      let open: () => void = () => undefined;
      gate = new Promise((resolve) => {
        open = resolve;
      });
      const answers = Array.from({ length: 6 }, () => app.post('/in-flight', password(word)));
      const refused = await Promise.race(answers);
      open();
      const statuses = (await Promise.all(answers)).map(({ status }) => status).sort();
      await left(app, 'in-flight');
      return [...statuses, Number(refused.headers.get('retry-after')) <= 60];
    };
    expect(await sixAtOnce('right')).toEqual([200, 200, 200, 200, 200, 429, true]);
    expect(await sixAtOnce('wrong')).toEqual([401, 401, 401, 401, 401, 429, true]);
    const blocked = await app.post('/in-flight', password('right'));
    expect([blocked.status, blocked.headers.get('retry-after')]).toEqual([429, '900']);
  });

  it('also works for rules', async () => {
    const app = await start(
      limited([LoginController], {
        rules: [{ id: 'any-failure', path: '/**', limits: '2/minute', count: 'failure' }],
      }),
    );
    expect(await app.statuses(3, '/success', password('wrong'))).toEqual([401, 401, 429]);
    const other = await start(
      limited([LoginController], {
        rules: [{ id: 'any-failure', path: '/**', limits: '2/minute', count: 'failure' }],
      }),
    );
    await other.get('/weighted');
    expect(await left(other, 'any-failure')).toBe(2);
  });
});

describeOverHttp('A limit that counts by outcome', (start) => {
  it('can count successes only', async () => {
    const app = await start(limited([LoginController]));
    for (let failure = 0; failure < 5; failure++) {
      expect((await app.get('/success')).status).toBe(401);
      expect(await left(app, 'success')).toBe(2);
    }
    expect(await app.statuses(3, '/success', password('right'))).toEqual([200, 200, 429]);
  });

  it('can be a function, which receives the status', async () => {
    outcomes.length = 0;
    const app = await start(limited([LoginController]));
    expect((await app.get('/function', password('right'))).status).toBe(200);
    expect(await left(app, 'function')).toBe(2);
    expect((await app.get('/function')).status).toBe(500);
    expect(await left(app, 'function')).toBe(2);
    expect((await app.get('/function', password('wrong'))).status).toBe(401);
    expect(await left(app, 'function')).toBe(1);
    expect(outcomes).toEqual([
      { success: true, statusCode: 200 },
      { success: false, statusCode: 500 },
      { success: false, statusCode: 401 },
    ]);
  });

  it('is not called for a request that its client aborts, which counts', async () => {
    outcomes.length = 0;
    const app = await start(limited([LoginController]));
    let open: () => void = () => undefined;
    gate = new Promise((resolve) => {
      open = resolve;
    });
    const aborted = request(`${await app.nest.getUrl()}/slow-function`, { agent: false });
    aborted.on('error', () => undefined).end();
    let isClosed = false;
    (app.nest.getHttpServer() as Server).once('connection', (socket) =>
      socket.once('close', () => {
        isClosed = true;
      }),
    );
    while ((await left(app, 'slow-function')) === 2) await immediate();
    aborted.destroy();
    await until(() => isClosed);
    open();
    expect(await left(app, 'slow-function')).toBe(1);
    expect(outcomes).toEqual([]);
    expect((await app.get('/slow-function')).status).toBe(200);
    expect(await left(app, 'slow-function')).toBe(1);
    expect(outcomes).toEqual([{ success: true, statusCode: 200 }]);
  });

  it('refunds a request that does not count, even if another function fails', async () => {
    const app = await start(limited([LoginController]));
    expect((await app.get('/failing-beside')).remaining).toBe('"broken";r=4, "working";r=4');
    expect(await left(app, 'working')).toBe(5);
    expect(await left(app, 'broken')).toBe(4);
  });

  it('counts if the store rejects the refund, and logs that', async () => {
    class TakingStorage extends MemoryStorage {
      override settle(): never {
        throw new Error('connection lost');
      }
    }
    const app = await start(limited([LoginController], { storage: new TakingStorage() }));
    expect((await app.get('/success')).status).toBe(401);
    expect(await left(app, 'success')).toBe(1);
    expect(app.log.errors).toContain('Settling a request by its outcome failed: connection lost');
  });

  it('counts if the function fails, and logs that', async () => {
    const app = await start(limited([LoginController]));
    expect(await app.statuses(3, '/failing')).toEqual([200, 200, 429]);
    expect(app.log.warnings[0]).toBe(
      '@RateLimit on LoginController.failing: the function "count" failed, so the request counts its cost: no outcome',
    );
  });
});
