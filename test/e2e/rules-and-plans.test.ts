import { expect, it } from '@jest/globals';
import { MemoryStorage, RATE_LIMIT_STORAGE } from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { AppModule } from '../../sample/04-rules-and-plans/src/app.module.js';
import { describeOverHttp, type HttpApp, type HttpReply } from '../support/http-app.js';

describeOverHttp('The sample of rules and plans', (start) => {
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

  const reports = (app: HttpApp, key: string): Promise<HttpReply> =>
    app.get('/api/reports', { 'x-api-key': key });
  const changePlan = (app: HttpApp, path: string, key = 'admin-key'): Promise<HttpReply> =>
    app.request('PUT', `/admin/customers/${path}`, { 'x-admin-key': key });

  it('limits each customer by plan, and also each address', async () => {
    const { app } = await startSample();
    expect((await reports(app, 'ann-key')).remaining).toBe('"address";r=299, "api";r=4');
    expect((await reports(app, 'bob-key')).remaining).toBe('"address";r=298, "api";r=49');
    expect((await reports(app, 'cron-key')).remaining).toBe('"address";r=297');
    expect((await reports(app, 'guess')).status).toBe(401);
    expect((await reports(app, 'ann-key')).body).toEqual({ reports: [], remaining: 3 });
    expect(app.log.warnings).toEqual([]);
  });

  it('gives more to a customer whose plan an administrator changes, minus the consumption', async () => {
    const { app } = await startSample();
    for (let times = 0; times < 5; times++) expect((await reports(app, 'ann-key')).status).toBe(200);
    expect((await reports(app, 'ann-key')).status).toBe(429);
    const changed = await changePlan(app, 'ann/plan/pro');
    expect([changed.status, changed.body]).toEqual([200, { id: 'ann', plan: 'pro' }]);
    expect((await reports(app, 'ann-key')).remaining).toBe('"address";r=292, "api";r=44');
    await changePlan(app, 'ann/plan/internal');
    expect((await reports(app, 'ann-key')).headers.get('ratelimit-policy')).toBe('"address";q=300;w=60');
    await changePlan(app, 'ann/plan/free');
    expect((await reports(app, 'ann-key')).status).toBe(429);
  });

  it("blocks clients that guess the administrator's key", async () => {
    const { app, clock } = await startSample();
    for (let times = 0; times < 3; times++)
      expect((await changePlan(app, 'ann/plan/pro', 'guess')).status).toBe(403);
    expect((await changePlan(app, 'ann/plan/pro', 'guess')).headers.get('retry-after')).toBe('900');
    expect((await changePlan(app, 'ann/plan/pro')).status).toBe(429);
    clock.advance(15 * 60_000);
    expect((await changePlan(app, 'ann/plan/pro')).status).toBe(200);
    expect((await changePlan(app, 'ann/plan/gold')).status).toBe(400);
    expect((await changePlan(app, 'eve/plan/pro')).status).toBe(404);
  });
});
