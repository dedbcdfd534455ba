import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Controller, ForbiddenException, Get, UseGuards } from '@nestjs/common';
import {
  MemoryStorage,
  RateLimit,
  RateLimiterService,
  RateLimitGuard,
  storageFromString,
  type PolicyReference,
  type RateLimitModuleOptions,
} from 'nestjs-limits';
import { DECIDING_STORAGE } from '../../../lib/nest/options/rate-limit.tokens.js';
import { queueOf } from '../../../lib/limiter/fair-queue.js';
import type { Storage } from '../../../lib/core/storage.js';
import { Gate } from '../../support/gate.js';
import { limited, startHttpApp, type HttpApp } from '../../support/http-app.js';
import { describeOn, type ServerName } from '../../support/servers.js';
import { until } from '../../support/servers/server-process.js';

/**
 * Features that meet in one batch or one settlement, on every storage: slots, outcomes, blocks, waits, calendars, meters, shadow limits,
 * several identities, leases. The windows are long, since servers count by their own clocks.
 */

const SERVERS: readonly ServerName[] = [
  'REDIS',
  'REDIS_CLUSTER',
  'REDIS_SENTINEL',
  'MEMCACHED',
  'ETCD',
  'MONGODB',
  'MONGODB_REPLICA',
  'POSTGRESQL',
];

const gate = new Gate();
const one = { key: () => 'one' };
const other = { key: () => 'other' };

@Controller()
class PairsController {
  @Get('login')
  @RateLimit('5/hour; 2 concurrent', { name: 'login', count: 'failure', block: '2 hours', ...one })
  @RateLimit('9/month', { name: 'quota', strategy: 'calendar-window', ...other })
  login() {
    return gate.pass();
  }

  @Get('wrong')
  @RateLimit('2/hour; 2 concurrent', { name: 'wrong', count: 'failure', block: '2 hours', ...one })
  wrong() {
    throw new ForbiddenException();
  }

  @Get('refused')
  @RateLimit('5/hour; 2 concurrent', { name: 'taken', ...one })
  @RateLimit('0/hour', { name: 'refusing', ...other })
  refused() {
    return '';
  }

  @Get('phases')
  @UseGuards(RateLimitGuard)
  @RateLimit('5/hour; 2 concurrent', { name: 'early', count: 'success', ...one })
  @RateLimit('1/month', { name: 'late', strategy: 'calendar-window', phase: 'afterAuth', ...other })
  phases() {
    return '';
  }

  @Get('waiting')
  @RateLimit('9/hour; 1 concurrent', {
    name: 'waiting',
    wait: '20 seconds',
    strategy: 'moving-window',
    actualCost: () => 3,
    ...one,
  })
  waiting() {
    return gate.pass();
  }

  @Get('shadow')
  @RateLimit('1/hour; 1 concurrent', { name: 'shadow', mode: 'shadow', ...one })
  @RateLimit('9/hour; 3 concurrent', { name: 'enforced', strategy: 'token-bucket', ...other })
  shadow() {
    return gate.pass();
  }

  @Get('ruled')
  ruled() {
    return gate.pass();
  }

  @Get('metered')
  @RateLimit('100/month', { name: 'metered', strategy: 'calendar-window', ...one })
  @RateLimit('50/hour', { name: 'metered-shadow', mode: 'shadow', ...one })
  metered() {
    return '';
  }
}

function describePairs(open: () => Promise<Storage>, listsKeys: boolean): void {
  let app: HttpApp;
  let limiter: RateLimiterService;
  let storage: Storage;

  beforeAll(async () => {
    storage = await open();
    const options: RateLimitModuleOptions = {
      storage,
      resilience: { timeout: 10_000, lease: { size: 10, maxError: 1 } },
      rules: [{ id: 'ruled', path: '/ruled', limits: '2 concurrent; 9/hour', ...one }],
    };
    app = await startHttpApp('fastify', limited([PairsController], options));
    limiter = app.nest.get(RateLimiterService);
  });

  afterAll(async () => {
    await app.close();
    await storage.close();
  });

  /** Returns what each limit of a policy has left. */
  async function left(policy: string | PolicyReference): Promise<number[]> {
    const reference = typeof policy === 'string' ? { policy } : policy;
    const { limits } = await limiter.peek(
      reference,
      /quota|late|refusing|enforced/.test(reference.policy) ? 'other' : 'one',
    );
    return limits.map(({ remaining }) => remaining);
  }

  async function becomes(policy: string, expected: number[]): Promise<void> {
    await until(
      async () => (await left(policy)).join() === expected.join(),
      `${policy} to have ${expected.join()} left`,
    );
  }

  const waiting = (policy: string): number | undefined =>
    queueOf(app.nest.get<Storage>(DECIDING_STORAGE)).waiting().get(policy);

  it('slots, an outcome and a calendar of another identity: refused ones take nothing, successes are refunded', async () => {
    const sent = [app.get('/login'), app.get('/login')];
    await until(() => gate.waiting === 2, 'two handlers to run');
    expect(await app.statuses(3, '/login')).toEqual([429, 429, 429]);
    expect([await left('login'), await left('quota')]).toEqual([[3, 0], [7]]);
    gate.open();
    expect((await Promise.all(sent)).map(({ status }) => status)).toEqual([200, 200]);
    await becomes('login', [5, 2]);
    expect(await left('quota')).toEqual([7]);
  });

  it('slots and failures: the rate blocks, by hand too, and no slot is lost', async () => {
    expect(await app.statuses(2, '/wrong')).toEqual([403, 403]);
    await becomes('wrong', [0, 2]);
    const { status, headers } = await app.get('/wrong');
    expect([status, Number(headers.get('retry-after')) > 3600]).toEqual([429, true]);
    expect(await left('wrong')).toEqual([0, 2]);
    await limiter.clear({ policy: 'wrong' }, 'one');
    await limiter.block({ policy: 'wrong' }, 'one', '1 hour');
    expect(await app.statuses(1, '/wrong')).toEqual([429]);
    await limiter.unblock({ policy: 'wrong' }, 'one');
    expect(await app.statuses(1, '/wrong')).toEqual([403]);
    await becomes('wrong', [1, 2]);
  });

  it('slots and a refusal by another identity: nothing stays taken', async () => {
    expect(await app.statuses(3, '/refused')).toEqual([429, 429, 429]);
    expect(await left('taken')).toEqual([5, 2]);
  });

  it('slots and an outcome before a refusal in the second phase: both are given back', async () => {
    expect(await app.statuses(3, '/phases')).toEqual([200, 429, 429]);
    await becomes('early', [4, 2]);
    expect(await left('late')).toEqual([0]);
  });

  it('a wait for a slot and an actual cost: served in order, each charged once', async () => {
    const before = gate.entered;
    const sent = [app.get('/waiting')];
    await until(() => gate.entered === before + 1, 'the first handler to run');
    sent.push(app.get('/waiting'));
    await until(() => waiting('waiting') === 1, 'the second request to wait');
    gate.open();
    await until(() => gate.entered === before + 2, 'the second handler to run');
    expect(await left('waiting')).toEqual([5, 0]);
    gate.open();
    expect((await Promise.all(sent)).map(({ status }) => status)).toEqual([200, 200]);
    await becomes('waiting', [3, 1]);
  });

  it('limits in shadow beside slots of a bucket: they refuse nothing, and hold what they admit', async () => {
    const before = gate.entered;
    const sent = [app.get('/shadow'), app.get('/shadow'), app.get('/shadow')];
    await until(() => gate.entered === before + 3, 'three handlers to run');
    expect([await left('shadow'), await left('enforced')]).toEqual([
      [0, 0],
      [6, 0],
    ]);
    expect(await app.statuses(1, '/shadow')).toEqual([429]);
    gate.open();
    expect((await Promise.all(sent)).map(({ status }) => status)).toEqual([200, 200, 200]);
    await becomes('enforced', [6, 3]);
    await becomes('shadow', [0, 1]);
  });

  it('slots of a rule and by hand: shared, kept by a smaller rule, and released once', async () => {
    const before = gate.entered;
    await using slot = await limiter.acquire({ policy: 'ruled' }, ['one']);
    const sent = app.get('/ruled');
    await until(() => gate.entered === before + 1, 'the handler to run');
    expect(await left('ruled')).toEqual([0, 7]);
    await limiter.setRules([{ id: 'ruled', path: '/ruled', limits: '1 concurrent; 9/hour', ...one }]);
    await slot.release();
    expect([await left('ruled'), await app.statuses(1, '/ruled')]).toEqual([[0, 7], [429]]);
    gate.open();
    expect((await sent).status).toBe(200);
    await becomes('ruled', [1, 7]);
  });

  it('a meter of a calendar, in steps of a lease, and one in shadow: the rest is given back', async () => {
    const meter = await limiter.meter({ policy: 'metered' }, ['one'], { step: 30 });
    for (let units = 0; units < 35; units++) expect(await meter.add(1)).toBe(true);
    await meter.end();
    expect(await left('metered')).toEqual([65]);
    const shadow = await limiter.meter({ policy: 'metered-shadow' }, ['one'], { step: 30 });
    for (let units = 0; units < 55; units++) expect(await shadow.add(1)).toBe(true);
    await shadow.end();
    expect(await left('metered-shadow')).toEqual([0]);
    expect((await app.get('/metered')).remaining).toBe('"metered";r=64');
  });

  if (listsKeys)
    it('clearPolicy with slots, blocks, calendars and permits of a lease: all of them are free', async () => {
      const before = gate.entered;
      const sent = app.get('/login');
      await until(() => gate.entered === before + 1, 'the handler to run');
      await limiter.block({ policy: 'login' }, 'one');
      for (const policy of ['login', 'quota', 'metered']) await limiter.clearPolicy({ policy });
      expect([await left('login'), await left('quota'), await left('metered')]).toEqual([[5, 2], [9], [100]]);
      gate.open();
      expect((await sent).status).toBe(200);
      await becomes('login', [5, 2]);
    });
}

describe('Pairs of features in memory', () => {
  describePairs(async () => new MemoryStorage(), true);
});

describe.each(SERVERS)('Pairs of features on %s', (server) => {
  describeOn(server, 'by its URI', (uri) => {
    describePairs(
      async () => storageFromString(uri, { keyPrefix: `pairs-${randomBytes(6).toString('hex')}` }),
      server !== 'MEMCACHED',
    );
  });
});
