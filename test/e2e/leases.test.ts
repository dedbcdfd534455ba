import { expect, it } from '@jest/globals';
import { Controller, Get, type ExecutionContext } from '@nestjs/common';
import {
  RateLimit,
  RateLimiterService,
  RateLimitInfo,
  requestOf,
  type Decision,
  type RateLimitRule,
} from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { describeOverHttp, limited, type HttpApp, type StartHttpApp } from '../support/http-app.js';
import { MapCasServer, MapCasStorage } from '../support/map-cas.storage.js';

const client = '127.0.0.1';

@Controller()
class HotController {
  decision: Decision | undefined;

  @Get('hot')
  @RateLimit('100/minute', { name: 'hot' })
  hot(@RateLimitInfo() decision?: Decision) {
    this.decision = decision;
    return '';
  }

  @Get('planned')
  @RateLimit({ free: '100/minute', pro: '150/minute', internal: 'unlimited' }, { name: 'planned' })
  planned() {
    return '';
  }

  @Get('ruled')
  ruled() {
    return '';
  }
}

const plan = (context: ExecutionContext): string =>
  (requestOf(context)?.headers?.['x-plan'] as string | undefined) ?? 'free';

async function open(
  start: StartHttpApp,
  rules: RateLimitRule[] = [],
): Promise<{ app: HttpApp; service: RateLimiterService }> {
  const storage = new MapCasStorage(new MapCasServer(), { clock: new ManualClock() });
  const resilience = { lease: { size: 10, maxError: 1 } };
  const app = await start(limited([HotController], { storage, resilience, plan, rules }));
  return { app, service: app.nest.get(RateLimiterService) };
}

/** Requests until one is refused. Returns how many were not. */
async function rest(app: HttpApp, path: string, headers: Record<string, string> = {}): Promise<number> {
  for (let admitted = 0; ; admitted++) if ((await app.get(path, headers)).status === 429) return admitted;
}

describeOverHttp('While permits of a lease are held', (start) => {
  it('clear gives the client its whole limit again, and no request more', async () => {
    const { app, service } = await open(start);
    await app.statuses(3, '/hot');
    await service.clear({ policy: 'hot' }, client);
    expect(await rest(app, '/hot')).toBe(100);
    await service.clear({ policy: 'hot' }, client);
    expect(await rest(app, '/hot')).toBe(100);
  });

  it('a refund by hand returns only what was used', async () => {
    const { app, service } = await open(start);
    await app.statuses(3, '/hot');
    await service.refund({ policy: 'hot' }, [client], { cost: 50 });
    expect(await rest(app, '/hot')).toBe(100);
  });

  it('a refund of a decision returns its unit, once', async () => {
    const { app, service } = await open(start);
    await app.statuses(3, '/hot');
    const { decision } = app.nest.get(HotController);
    if (decision === undefined) throw new Error('nothing was counted');
    await service.refund(decision);
    await service.refund(decision);
    expect(await rest(app, '/hot')).toBe(98);
  });

  it('a request that turns out to cost more leaves the others less', async () => {
    const { app, service } = await open(start);
    await app.statuses(3, '/hot');
    const { decision } = app.nest.get(HotController);
    if (decision === undefined) throw new Error('nothing was counted');
    await service.settle(decision, 41);
    expect(await rest(app, '/hot')).toBe(57);
  });

  it('a request that turns out to cost more than the limit leaves the others nothing', async () => {
    const { app, service } = await open(start);
    await app.statuses(3, '/hot');
    const { decision } = app.nest.get(HotController);
    if (decision === undefined) throw new Error('nothing was counted');
    await service.settle(decision, 500);
    expect(await rest(app, '/hot')).toBe(0);
  });

  it('another plan keeps what was consumed, and admits the difference', async () => {
    const { app } = await open(start);
    expect(await rest(app, '/planned')).toBe(100);
    expect(await rest(app, '/planned', { 'x-plan': 'pro' })).toBe(50);
    expect(await app.statuses(9, '/planned', { 'x-plan': 'internal' })).toEqual(new Array(9).fill(200));
    expect(await rest(app, '/planned')).toBe(0);
  });

  it('plans in turn admit no more than the larger one', async () => {
    const { app } = await open(start);
    const statuses: number[] = [];
    for (let request = 0; request < 220; request++)
      statuses.push((await app.get('/planned', { 'x-plan': request % 2 ? 'pro' : 'free' })).status);
    const admitted = statuses.filter((status) => status === 200).length;
    expect(admitted).toBeLessThanOrEqual(150);
    expect(admitted).toBeGreaterThanOrEqual(150 - 2 * 9);
  });

  const rule = (limits: string, options: Partial<RateLimitRule> = {}): RateLimitRule => ({
    id: 'ruled',
    path: '/ruled',
    limits,
    ...options,
  });

  it('a smaller rule refuses at once, and a larger one admits the difference', async () => {
    const { app, service } = await open(start, [rule('100/minute')]);
    await app.statuses(20, '/ruled');
    await service.setRules([rule('10/minute')]);
    expect(await rest(app, '/ruled')).toBe(0);
    await service.setRules([rule('50/minute')]);
    expect(await rest(app, '/ruled')).toBe(30);
  });

  it('a rule that gets a block blocks, and a rule that loses it admits again', async () => {
    const { app, service } = await open(start, [rule('100/minute')]);
    await app.statuses(3, '/ruled');
    await service.setRules([rule('100/minute', { block: '1 hour' })]);
    await service.block({ policy: 'ruled' }, client);
    expect(await rest(app, '/ruled')).toBe(0);
    await service.unblock({ policy: 'ruled' }, client);
    expect((await app.get('/ruled')).status).toBe(200);
  });

  it('a rule that is removed and comes back has its count', async () => {
    const { app, service } = await open(start, [rule('100/minute')]);
    await app.statuses(13, '/ruled');
    await service.setRules([]);
    expect(await app.statuses(3, '/ruled')).toEqual([200, 200, 200]);
    await service.setRules([rule('100/minute')]);
    expect(await rest(app, '/ruled')).toBe(87);
  });
});
