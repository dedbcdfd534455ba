import { expect, it } from '@jest/globals';
import { MemoryStorage, RATE_LIMIT_STORAGE } from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { AppModule } from '../../sample/01-quick-start/src/app.module.js';
import { describeOverHttp, type HttpApp } from '../support/http-app.js';

describeOverHttp('The quick start', (start) => {
  async function startSample(): Promise<{ app: HttpApp; clock: ManualClock }> {
    const clock = new ManualClock();
    const app = await start(
      { imports: [AppModule] },
      {
        override: (builder) =>
          builder.overrideProvider(RATE_LIMIT_STORAGE).useValue(new MemoryStorage({ clock })),
      },
    );
    return { app, clock };
  }

  it('allows five greetings a minute and reports the remaining hits at each step', async () => {
    const { app, clock } = await startSample();
    for (const remaining of [4, 3, 2, 1, 0]) {
      const reply = await app.get('/');
      expect(reply.status).toBe(200);
      expect(reply.body).toEqual({ message: 'Hello!', remaining });
      expect(reply.fields).toEqual({
        'ratelimit-policy': '"default";q=5;w=60',
        ratelimit: `"default";r=${remaining};t=${60 - (4 - remaining)}`,
      });
      clock.advance(1000);
    }

    const refused = await app.get('/');
    expect(refused.status).toBe(429);
    expect(refused.headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(refused.fields).toEqual({
      'ratelimit-policy': '"default";q=5;w=60',
      ratelimit: '"default";r=0;t=55',
      'retry-after': '55',
    });
    expect(refused.body).toEqual({
      statusCode: 429,
      error: 'Too Many Requests',
      message: 'Rate limit "default" exceeded: 5 per minute. Try again in 55 s.',
      limit: { name: 'default', amount: 5, period: 60, remaining: 0 },
      retryAfter: 55,
    });
  });

  it('allows the next greeting exactly after Retry-After, and not one ms earlier', async () => {
    const { app, clock } = await startSample();
    expect(await app.statuses(6, '/')).toEqual([200, 200, 200, 200, 200, 429]);
    clock.advance(59_999);
    const refused = await app.get('/');
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '1']);
    clock.advance(1);
    expect((await app.get('/')).status).toBe(200);
  });

  it('applies both limits of the login and takes nothing when one of them refuses', async () => {
    const { app, clock } = await startSample();
    for (const used of [1, 2, 3]) {
      const reply = await app.post('/login');
      expect(reply.status).toBe(200);
      expect(reply.fields).toEqual({
        'ratelimit-policy': '"default/minute";q=3;w=60, "default/hour";q=20;w=3600',
        ratelimit: `"default/minute";r=${3 - used};t=60, "default/hour";r=${20 - used};t=3600`,
      });
    }

    const refused = await app.post('/login');
    expect(refused.status).toBe(429);
    expect(refused.fields).toEqual({
      'ratelimit-policy': '"default/minute";q=3;w=60, "default/hour";q=20;w=3600',
      ratelimit: '"default/minute";r=0;t=60, "default/hour";r=17;t=3600',
      'retry-after': '60',
    });
    expect(refused.body).toEqual({
      statusCode: 429,
      error: 'Too Many Requests',
      message: 'Rate limit "default/minute" exceeded: 3 per minute. Try again in 60 s.',
      limit: { name: 'default/minute', amount: 3, period: 60, remaining: 0 },
      retryAfter: 60,
    });

    clock.advance(60_000);
    const allowed = await app.post('/login');
    expect(allowed.status).toBe(200);
    expect(allowed.fields['ratelimit']).toBe('"default/minute";r=2;t=60, "default/hour";r=16;t=3540');
  });

  it('refuses the login by the hour, whatever the minute has left', async () => {
    const { app, clock } = await startSample();
    for (let minute = 0; minute < 6; minute++) {
      for (let attempt = 0; attempt < 3; attempt++) await app.post('/login');
      clock.advance(60_000);
    }
    expect((await app.post('/login')).status).toBe(200);
    expect((await app.post('/login')).status).toBe(200);

    const refused = await app.post('/login');
    expect(refused.status).toBe(429);
    expect(refused.fields).toMatchObject({
      ratelimit: '"default/minute";r=1;t=60, "default/hour";r=0;t=3240',
      'retry-after': '3240',
    });
  });

  it('never limits the free route and sends no fields with it', async () => {
    const { app } = await startSample();
    for (let request = 0; request < 30; request++) {
      const reply = await app.get('/free');
      expect(reply.status).toBe(200);
      expect(reply.fields).toEqual({});
    }
  });

  it('allows ten reports immediately, then one per second', async () => {
    const { app, clock } = await startSample();
    for (let remaining = 9; remaining >= 0; remaining--) {
      const reply = await app.get('/report');
      expect(reply.status).toBe(200);
      expect(reply.fields).toEqual({
        'ratelimit-policy': '"default";q=60;w=60',
        ratelimit: `"default";r=${remaining};t=1`,
      });
    }
    const refused = await app.get('/report');
    expect(refused.status).toBe(429);
    expect(refused.fields).toMatchObject({ ratelimit: '"default";r=0;t=1', 'retry-after': '1' });

    for (let second = 0; second < 3; second++) {
      clock.advance(1000);
      expect(await app.statuses(2, '/report')).toEqual([200, 429]);
    }
  });
});
