import { expect, it } from '@jest/globals';
import { Controller, Get } from '@nestjs/common';
import {
  MemoryStorage,
  RateLimit,
  RateLimiterService,
  StorageError,
  type RateLimitModuleOptions,
} from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { describeOverHttp, limited, type HttpApp, type StartHttpApp } from '../support/http-app.js';
import { MapCasServer, MapCasStorage } from '../support/map-cas.storage.js';

@Controller()
class DoorController {
  @Get('login')
  @RateLimit('1/minute', { name: 'login', key: 'header:x-user', block: '1 hour' })
  login() {
    return '';
  }

  @Get('reports')
  @RateLimit({ free: '1/minute', pro: '90/hour', internal: 'unlimited' }, { name: 'reports' })
  reports() {
    return '';
  }

  @Get('found')
  @RateLimit(() => ['1/minute', '5/hour'], { name: 'found' })
  found() {
    return '';
  }

  @Get('open')
  @RateLimit('unlimited', { name: 'open' })
  open() {
    return '';
  }
}

const CLIENT = '127.0.0.1';

const by = (user: string): Record<string, string> => ({ 'x-user': user });

interface Door {
  readonly app: HttpApp;
  readonly service: RateLimiterService;
}

async function open(start: StartHttpApp, options: RateLimitModuleOptions = {}): Promise<Door> {
  const app = await start(limited([DoorController], options, new ManualClock()));
  return { app, service: app.nest.get(RateLimiterService) };
}

describeOverHttp('clearPolicy', (start) => {
  it('removes the counts and blocks of all identities, and of no other policy', async () => {
    const { app, service } = await open(start);
    for (const user of ['ann', 'bob']) expect(await app.statuses(2, '/login', by(user))).toEqual([200, 429]);
    expect(await app.statuses(2, '/reports')).toEqual([200, 429]);
    await service.clearPolicy({ policy: 'login' });
    for (const user of ['ann', 'bob']) expect(await app.statuses(1, '/login', by(user))).toEqual([200]);
    expect(await app.statuses(1, '/reports')).toEqual([429]);
  });

  it('removes the counts of all plans', async () => {
    const { service } = await open(start);
    const remaining = async (plan: string): Promise<number> =>
      (await service.peek({ policy: 'reports', plan }, CLIENT)).remaining;
    for (const plan of ['free', 'pro']) await service.hit({ policy: 'reports', plan }, CLIENT);
    expect([await remaining('free'), await remaining('pro')]).toEqual([0, 89]);
    await service.clearPolicy({ policy: 'reports' });
    expect([await remaining('free'), await remaining('pro')]).toEqual([1, 90]);
  });

  it('removes the given counts of a policy whose limits a function returns', async () => {
    const { app, service } = await open(start);
    expect(await app.statuses(2, '/found')).toEqual([200, 429]);
    await service.clearPolicy({ policy: 'found', limits: '1/minute' });
    expect((await app.get('/found')).remaining).toBe('"found/minute";r=0, "found/hour";r=3');
    expect(() => service.clearPolicy({ policy: 'found' })).toThrow(
      'The policy "found" has a function that returns the limits of each request. By hand, give them beside its name: ' +
        "{ policy: 'found', limits: '10/minute' }.",
    );
  });

  it('removes the counts of rules', async () => {
    const { app, service } = await open(start, {
      rules: [{ id: 'shop', path: '/open', limits: '1/minute' }],
    });
    expect(await app.statuses(2, '/open')).toEqual([200, 429]);
    await service.clearPolicy({ policy: 'shop' });
    expect(await app.statuses(1, '/open')).toEqual([200]);
  });

  it('throws for an unknown policy, and for one that counts nothing', async () => {
    const { service } = await open(start);
    expect(() => service.clearPolicy({ policy: 'logins' })).toThrow('There is no policy "logins".');
    expect(() => service.clearPolicy({ policy: 'open' })).toThrow(
      'The policy "open" is unlimited: nothing is counted.',
    );
  });

  it('ends remembered refusals and leases of this process, for a remote store', async () => {
    const server = new MapCasServer();
    const { app, service } = await open(start, {
      storage: new MapCasStorage(server),
      resilience: { lease: { size: 5, maxError: 1 } },
    });
    expect(await app.statuses(2, '/reports')).toEqual([200, 429]);
    expect(await app.statuses(1, '/reports')).toEqual([429]);
    await service.clearPolicy({ policy: 'reports' });
    expect(await app.statuses(1, '/reports')).toEqual([200]);
    const many = { policy: 'reports', plan: 'pro' };
    await service.hit(many, CLIENT);
    await service.clearPolicy({ policy: 'reports' });
    expect((await service.peek(many, CLIENT)).remaining).toBe(90);
  });

  it('rejects where the storage lists no keys', async () => {
    class UnlistedStorage extends MapCasStorage {
      override readonly keysAfter = undefined as never;
    }
    const { service } = await open(start, { storage: new UnlistedStorage(new MapCasServer()) });
    const cleared = Promise.resolve().then(() => service.clearPolicy({ policy: 'login' }));
    await expect(cleared).rejects.toThrow(StorageError);
    await expect(cleared).rejects.toThrow(
      'UnlistedStorage cannot remove the counts of all identities: it lists no keys. Remove those of each identity.',
    );
  });

  it('gives the room of a full memory storage back', async () => {
    const { app, service } = await open(start, { storage: new MemoryStorage({ maxKeys: 2 }) });
    for (let user = 0; user < 20; user++) await app.get('/login', by(`user ${user}`));
    await service.clearPolicy({ policy: 'login' });
    for (let user = 0; user < 2; user++)
      expect((await app.get('/login', by(`user ${user}`))).status).toBe(200);
  });
});
