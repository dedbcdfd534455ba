import { expect, it } from '@jest/globals';
import { Controller, Get, Inject, Post, type ExecutionContext } from '@nestjs/common';
import {
  RateLimit,
  RateLimiterService,
  RateLimitInfo,
  SkipRateLimit,
  StorageError,
  type Decision,
} from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { describeOverHttp, limited, type HttpApp, type StartHttpApp } from '../support/http-app.js';
import { MapCasServer, MapCasStorage } from '../support/map-cas.storage.js';

const client = '127.0.0.1';

const userOf = (context: ExecutionContext): string | undefined =>
  context.switchToHttp().getRequest<{ headers: Record<string, string | undefined> }>().headers['x-user'];

@Controller()
@RateLimit('9/minute', { name: 'class' })
class AsyncController {
  constructor(@Inject(RateLimiterService) private readonly limiter: RateLimiterService) {}

  @Get()
  @RateLimit('2/minute')
  get(@RateLimitInfo() decision?: Decision) {
    return { remaining: decision?.remaining };
  }

  @Get('users')
  @RateLimit('2/minute', { name: 'user', key: async (context) => Promise.resolve(userOf(context)) })
  user() {
    return '';
  }

  @Post('login')
  @RateLimit('2/minute', { name: 'failures' })
  async login(@RateLimitInfo() decision?: Decision) {
    if (decision !== undefined) await this.limiter.refund(decision);
    return '';
  }

  @Get('open')
  @SkipRateLimit()
  open() {
    return '';
  }
}

describeOverHttp('Over a storage that answers later', (start) => {
  async function startOver(
    startApp: StartHttpApp,
  ): Promise<{ app: HttpApp; clock: ManualClock; server: MapCasServer; service: RateLimiterService }> {
    const clock = new ManualClock();
    const server = new MapCasServer();
    const storage = new MapCasStorage(server, { clock });
    const app = await startApp(
      limited([AsyncController], {
        storage,
        resilience: false,
        limits: [{ name: 'all', limits: '99/hour' }],
      }),
    );
    return { app, clock, server, service: app.nest.get(RateLimiterService) };
  }

  it('routes are limited, with the same fields and the same body', async () => {
    const { app, clock } = await startOver(start);
    const reply = await app.get('/');
    expect(reply.body).toEqual({ remaining: 1 });
    expect(reply.fields).toEqual({
      'ratelimit-policy': '"all";q=99;w=3600, "class";q=9;w=60, "default";q=2;w=60',
      ratelimit: '"all";r=98;t=3600, "class";r=8;t=60, "default";r=1;t=60',
    });
    await app.get('/');
    const refused = await app.get('/');
    expect(refused.status).toBe(429);
    expect(refused.remaining).toBe('"all";r=97, "class";r=7, "default";r=0');
    expect(refused.body).toEqual({
      statusCode: 429,
      error: 'Too Many Requests',
      message: 'Rate limit "default" exceeded: 2 per minute. Try again in 60 s.',
      limit: { name: 'default', amount: 2, period: 60, remaining: 0 },
      retryAfter: 60,
    });
    expect(await app.statuses(3, '/open')).toEqual([200, 200, 200]);
    clock.advance(60_000);
    expect((await app.get('/')).status).toBe(200);
  });

  it('a request makes one read and one write, whatever the number of its limits', async () => {
    const { app, server } = await startOver(start);
    await app.get('/');
    expect([server.count('read'), server.count('compareAndSet')]).toEqual([1, 1]);
  });

  it('the limit allows exactly its amount of concurrent requests', async () => {
    const { app } = await startOver(start);
    const replies = await Promise.all(Array.from({ length: 12 }, () => app.get('/')));
    expect(replies.map(({ status }) => status).sort()).toEqual([200, 200, ...Array<number>(10).fill(429)]);
  });

  it('hits on several identities are all taken or none', async () => {
    const { app, service } = await startOver(start);
    expect(await app.get('/users', { 'x-user': 'ann' })).toMatchObject({ status: 200 });
    expect(await app.get('/users', { 'x-user': 'ann' })).toMatchObject({ status: 200 });
    const refused = await app.get('/users', { 'x-user': 'ann' });
    expect([refused.status, refused.remaining]).toEqual([429, '"all";r=97, "class";r=7, "user";r=0']);
    expect((await app.get('/users', { 'x-user': 'bob' })).remaining).toBe(
      '"all";r=96, "class";r=6, "user";r=1',
    );
    expect((await service.peek({ policy: 'all' }, client)).remaining).toBe(96);
  });

  it('the service and the guard have the same counts, with promises', async () => {
    const { app, service } = await startOver(start);
    const reference = { policy: 'default' };
    const hit = service.hit(reference, client);
    expect(hit).toBeInstanceOf(Promise);
    expect(await hit).toBe(true);
    expect((await app.get('/')).body).toEqual({ remaining: 0 });
    expect((await app.get('/')).status).toBe(429);
    await service.refund(reference, client);
    expect((await app.get('/')).status).toBe(200);
    expect((await app.get('/')).status).toBe(429);
    await service.clear(reference, client);
    expect((await app.get('/')).body).toEqual({ remaining: 1 });
    for (let attempt = 0; attempt < 4; attempt++) expect((await app.post('/login')).status).toBe(201);
  });

  it('a store that is down fails the request, and not the process', async () => {
    const { app, server } = await startOver(start);
    server.interfere = () => {
      throw new Error('connection refused');
    };
    const reply = await app.get('/');
    expect([reply.status, reply.fields]).toEqual([500, {}]);
    expect(app.log.errors).toHaveLength(1);
    expect(app.log.errors[0]).toBeInstanceOf(StorageError);
    expect((await app.get('/open')).status).toBe(200);
    server.interfere = () => undefined;
    expect((await app.get('/')).status).toBe(200);
  });
});
