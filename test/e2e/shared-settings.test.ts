import { randomUUID } from 'node:crypto';
import { setImmediate, setTimeout } from 'node:timers/promises';
import { afterEach, describe, expect, it } from '@jest/globals';
import { Controller, Get, type DynamicModule, type ModuleMetadata } from '@nestjs/common';
import { Redis } from 'ioredis';
import {
  ConcurrentUpdateError,
  ConfigurationError,
  MemoryStorage,
  RateLimiterService,
  RateLimitModule,
  StorageError,
  type RateLimitModuleOptions,
  type RateLimitRule,
  type SharedRule,
} from 'nestjs-limits';
import { MemcachedStorage } from 'nestjs-limits/memcached';
import type { SettingsStore, StoredSettings } from '../../lib/core/settings-store.js';
import { startHttpApp, type HttpApp } from '../support/http-app.js';
import { serverUri } from '../support/servers.js';
import { until } from '../support/servers/server-process.js';
import { TcpProxy } from '../support/tcp-proxy.js';

@Controller()
class PlainController {
  @Get('api')
  api() {
    return '';
  }

  @Get('login')
  login() {
    return '';
  }
}

const API: RateLimitRule = { id: 'api', path: '/api', limits: '3/hour' };
const LOGIN: RateLimitRule = { id: 'login', path: '/login', limits: '1/hour' };

const running: HttpApp[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((app) => app.close()));
});

/** An instance of an application, and its service. */
interface Instance {
  readonly app: HttpApp;
  readonly limiter: RateLimiterService;
}

function moduleOf(options: RateLimitModuleOptions): ModuleMetadata & { imports: DynamicModule[] } {
  const shared = { rules: [API, LOGIN], settings: { shared: true }, ...options };
  return { imports: [RateLimitModule.forRoot(shared)], controllers: [PlainController] };
}

async function start(options: RateLimitModuleOptions): Promise<Instance> {
  const app = await startHttpApp('express', moduleOf(options), { trustProxy: true });
  running.push(app);
  return { app, limiter: app.nest.get(RateLimiterService) };
}

/** Starts two instances on one store, with a new key prefix. */
async function startTwo(options: RateLimitModuleOptions = {}): Promise<[Instance, Instance]> {
  const common = { storage: serverUri('REDIS'), keyPrefix: `shared-${randomUUID()}`, ...options };
  return [await start(common), await start(common)];
}

function idsOf({ limiter }: Instance): string[] {
  return limiter.rules().map(({ id }) => id);
}

const limitsOf = ({ limiter }: Instance, id: string): unknown =>
  limiter.rules().find((rule) => rule.id === id)?.limits;

/** Waits until the other instance has read a change. */
async function holdsOn(instance: Instance, id: string, limits: unknown): Promise<void> {
  await until(() => limitsOf(instance, id) === limits, `the limits of ${id} are ${String(limits)}`);
}

describe('Settings that instances share', () => {
  it('hold at once where they were set, and on the other instance within three seconds', async () => {
    const [one, other] = await startTwo();
    expect(await one.limiter.sharedSettings()).toEqual({ version: 0, rules: [], networks: {} });
    const rules: SharedRule[] = [
      { id: 'api', limits: '1/hour' },
      { id: 'login', off: true },
      { id: 'all', path: '/**', limits: '100/hour' },
    ];
    expect(await one.limiter.setRules(rules, { everywhere: true, version: 0 })).toEqual({
      version: 1,
      rules,
      networks: {},
    });
    expect(idsOf(one)).toEqual(['api', 'all']);
    await holdsOn(other, 'api', '1/hour');
    expect(idsOf(other)).toEqual(['api', 'all']);
    expect(await other.app.statuses(2, '/api')).toEqual([200, 429]);
    expect(await other.app.statuses(2, '/login')).toEqual([200, 200]);
    expect(await other.limiter.sharedSettings()).toEqual({ version: 1, rules, networks: {} });
  });

  it('hold from the first request of an instance that starts later, and survive a reset', async () => {
    const keyPrefix = `shared-${randomUUID()}`;
    const options = { storage: serverUri('REDIS'), keyPrefix };
    const one = await start(options);
    await one.limiter.setRules([{ id: 'api', limits: '1/hour' }], { everywhere: true, version: 0 });
    await one.limiter.storage.reset();
    const later = await start(options);
    expect(await later.app.statuses(2, '/api')).toEqual([200, 429]);
  });

  it('are changed by one of two writers of a version; the other one is told so', async () => {
    const [one, other] = await startTwo();
    const change = { everywhere: true, version: 0 } as const;
    const results = await Promise.allSettled([
      one.limiter.setRules([{ id: 'api', limits: '1/hour' }], change),
      other.limiter.setRules([{ id: 'api', limits: '2/hour' }], change),
    ]);
    const lost = results.filter((result) => result.status === 'rejected');
    expect(lost.map(({ reason }) => reason as unknown)).toEqual([
      new ConcurrentUpdateError(
        'The shared settings have the version 1, and not 0 any more. Read them with sharedSettings() and try again.',
      ),
    ]);
    const { rules } = await one.limiter.sharedSettings();
    expect(rules).toEqual([{ id: 'api', limits: results[0].status === 'fulfilled' ? '1/hour' : '2/hour' }]);
    await holdsOn(one, 'api', rules[0]?.limits);
    await holdsOn(other, 'api', rules[0]?.limits);
  });

  it('are not written if they do not compile, or without a version', async () => {
    const [one, other] = await startTwo();
    const change = { everywhere: true, version: 0 } as const;
    await expect(one.limiter.setRules([{ id: 'api', limits: '1/fortnight' }], change)).rejects.toThrow(
      /Cannot read the rate limit "1\/fortnight"/,
    );
    await expect(one.limiter.setRules([{ id: 'new', limits: '1/hour' }], change)).rejects.toBeInstanceOf(
      ConfigurationError,
    );
    await expect(one.limiter.setRules([{ id: 'api' }], { everywhere: true } as never)).rejects.toThrow(
      new ConfigurationError(
        'A shared change needs { everywhere: true, version }, with the version that it replaces; got undefined. sharedSettings() returns it.',
      ),
    );
    await expect(one.limiter.setNetworks({ deny: ['10.0.0.0/33'] }, change)).rejects.toBeInstanceOf(
      ConfigurationError,
    );
    expect(await other.limiter.sharedSettings()).toEqual({ version: 0, rules: [], networks: {} });
    expect([limitsOf(one, 'api'), idsOf(one)]).toEqual(['3/hour', ['api', 'login']]);
  });

  it('are ignored with a warning where the code has another rule, and hold where it has the same', async () => {
    const keyPrefix = `shared-${randomUUID()}`;
    const options = { storage: serverUri('REDIS'), keyPrefix };
    const before = await start(options);
    await before.limiter.setRules(
      [
        { id: 'api', limits: '1/hour' },
        { id: 'login', off: true },
      ],
      { everywhere: true, version: 0 },
    );
    const after = await start({ ...options, rules: [{ ...API, limits: '9/hour' }, LOGIN] });
    expect([limitsOf(after, 'api'), idsOf(after)]).toEqual(['9/hour', ['api']]);
    expect(after.app.log.warnings.filter((line) => String(line).startsWith('Shared rules'))).toEqual([
      'Shared rules of version 1 do not apply, because the code has changed these rules since they were written: api. ' +
        'Write them again, or remove them, with setRules.',
    ]);
  });

  it('apply to the rules that an instance sets for itself', async () => {
    const [one] = await startTwo();
    await one.limiter.setRules([{ id: 'api', mode: 'shadow' }], { everywhere: true, version: 0 });
    await one.limiter.setRules([API]);
    expect(one.limiter.rules()).toEqual([{ ...API, mode: 'shadow' }]);
  });

  it('include networks: a list that is left out stays', async () => {
    const [one, other] = await startTwo();
    await one.limiter.setNetworks({ deny: ['203.0.113.0/24'] }, { everywhere: true, version: 0 });
    await one.limiter.setRules([{ id: 'api', limits: '1/hour' }], { everywhere: true, version: 1 });
    await one.limiter.setNetworks({ allow: ['10.0.0.0/8'] }, { everywhere: true, version: 2 });
    const settings = await other.limiter.sharedSettings();
    expect(settings).toEqual({
      version: 3,
      rules: [{ id: 'api', limits: '1/hour' }],
      networks: { deny: ['203.0.113.0/24'], allow: ['10.0.0.0/8'] },
    });
    const denied = { 'x-forwarded-for': '203.0.113.9' };
    await until(
      async () => (await other.app.get('/nothing', denied)).status === 403,
      'the network is denied',
    );
    await holdsOn(other, 'api', '1/hour');
  });

  it('that cannot be read or do not compile are logged, and the last ones hold', async () => {
    const [one, other] = await startTwo();
    await one.limiter.setRules([{ id: 'api', limits: '2/hour' }], { everywhere: true, version: 0 });
    await holdsOn(other, 'api', '2/hour');
    const { settings, keyPrefix } = one.limiter.storage;
    await settings?.write({
      version: 2,
      text: JSON.stringify({ rules: [{ rule: { id: 'new' } }], networks: {} }),
    });
    const errors = (): string[] =>
      other.app.log.errors.map(String).filter((line) => line.startsWith('Shared settings'));
    await until(() => errors().length === 1, 'an error is logged');
    expect(limitsOf(other, 'api')).toBe('2/hour');

    const client = new Redis(serverUri('REDIS') ?? '');
    await client.hset(`${keyPrefix}:settings`, { version: 3, text: 'null' });
    client.disconnect();
    await until(() => errors().length === 2, 'another error is logged');
    expect(errors()[1]).toBe(
      'Shared settings were not applied, and the last ones hold: The shared settings of version 3 cannot be read: ' +
        'got the string "null". Write them again with setRules.',
    );
    expect(limitsOf(other, 'api')).toBe('2/hour');
  });

  it('are not read while the store does not answer, without a wait for ever', async () => {
    const proxy = await TcpProxy.to(Number(new URL(serverUri('REDIS') ?? '').port));
    const cut = await start({
      keyPrefix: `shared-${randomUUID()}`,
      storage: `redis://127.0.0.1:${proxy.port}`,
    });
    proxy.swallows = 'requests';
    await expect(cut.limiter.sharedSettings()).rejects.toBeInstanceOf(StorageError);
    proxy.close();
  });

  it('hold on while the store is gone, and changes fail', async () => {
    const proxy = await TcpProxy.to(Number(new URL(serverUri('REDIS') ?? '').port));
    const options = { keyPrefix: `shared-${randomUUID()}` };
    const one = await start({ ...options, storage: serverUri('REDIS') });
    const cut = await start({ ...options, storage: `redis://127.0.0.1:${proxy.port}` });
    await one.limiter.setRules([{ id: 'api', limits: '2/hour' }], { everywhere: true, version: 0 });
    await holdsOn(cut, 'api', '2/hour');
    proxy.close();
    await one.limiter.setRules([{ id: 'api', limits: '1/hour' }], { everywhere: true, version: 1 });
    await until(
      () => cut.app.log.errors.some((line) => String(line).startsWith('Shared settings')),
      'an error is logged',
    );
    expect(limitsOf(cut, 'api')).toBe('2/hour');
    await expect(cut.limiter.setRules([], { everywhere: true, version: 1 })).rejects.toBeInstanceOf(
      StorageError,
    );
  });
});

describe('Rules that an instance sets for itself', () => {
  it('are those of the last call, whichever must load more', async () => {
    const { limiter } = await start({ settings: undefined });
    const quota: RateLimitRule = { id: 'quota', path: '/api', limits: '1/day', strategy: 'calendar-window' };
    const earlier = limiter.setRules([quota]);
    await limiter.setRules([LOGIN]);
    await earlier;
    expect(limiter.rules()).toEqual([LOGIN]);
  });

  it('are rejected by name if one is no object', async () => {
    const { limiter } = await start({ settings: undefined });
    expect(() => limiter.setRules([null] as never)).toThrow(ConfigurationError);
  });
});

/** Settings in this process, whose next read or write can be held back. */
class SlowSettings implements SettingsStore {
  stored: StoredSettings | undefined;
  /** Awaited by the next reads, which return what was stored when they began, and by writes. */
  reading: Promise<unknown> = Promise.resolve();
  writing: Promise<unknown> = Promise.resolve();
  reads = 0;
  writes = 0;

  async read(): Promise<StoredSettings | undefined> {
    this.reads++;
    const { stored, reading } = this;
    this.reading = Promise.resolve();
    await reading;
    return stored;
  }

  async write(settings: StoredSettings): Promise<boolean> {
    this.writes++;
    await this.writing;
    this.stored = settings;
    return true;
  }
}

class SharingStorage extends MemoryStorage {
  constructor(private readonly shared: SettingsStore) {
    super();
  }

  override get settings(): SettingsStore {
    return this.shared;
  }
}

describe('Settings that a slow store shares', () => {
  const change = (version: number) => ({ everywhere: true, version }) as const;

  async function startOn(store: SlowSettings, options: RateLimitModuleOptions = {}): Promise<Instance> {
    return start({ storage: new SharingStorage(store), ...options });
  }

  it('are not replaced by older ones, which a slower read returns', async () => {
    const store = new SlowSettings();
    const one = await startOn(store);
    let finish: (value?: unknown) => void = () => undefined;
    store.reading = new Promise((resolve) => {
      finish = resolve;
    });
    const { reads } = store;
    await until(() => store.reads > reads, 'the store is read');
    const slow = setTimeout(500).then(finish);
    await one.limiter.setRules([{ id: 'api', limits: '1/hour' }], change(0));
    await slow;
    await setImmediate();
    expect(limitsOf(one, 'api')).toBe('1/hour');
  });

  it('apply to the rules and networks that an instance sets for itself while they are written', async () => {
    const store = new SlowSettings();
    const one = await startOn(store);
    let written: (value?: unknown) => void = () => undefined;
    store.writing = new Promise((resolve) => {
      written = resolve;
    });
    const changed = one.limiter.setRules([{ id: 'new', path: '/new', limits: '1/hour' }], change(0));
    await until(() => store.writes === 1, 'the settings are being written');
    await one.limiter.setRules([LOGIN]);
    one.limiter.setNetworks({ deny: ['203.0.113.7'] });
    written();
    await changed;
    expect(idsOf(one)).toEqual(['login', 'new']);
    expect((await one.app.get('/api', { 'x-forwarded-for': '203.0.113.7' })).status).toBe(403);
  });

  it('are the same where they were set as where they are read: an option that is undefined is left out', async () => {
    const store = new SlowSettings();
    const rules = [{ ...API, method: 'GET' }];
    const [one, other] = [await startOn(store, { rules }), await startOn(store, { rules })];
    await one.limiter.setRules([{ id: 'api', limits: '1/hour', method: undefined }], change(0));
    await one.limiter.setNetworks({ deny: undefined }, change(1));
    await holdsOn(other, 'api', '1/hour');
    expect(one.limiter.rules()).toEqual([{ ...API, method: 'GET', limits: '1/hour' }]);
    expect(other.limiter.rules()).toEqual(one.limiter.rules());
    await expect(one.limiter.setRules([{ id: 'api', priority: Infinity }], change(2))).rejects.toThrow(
      'The rule "api": "priority" must be a number; got null.',
    );
  });

  it('are those of the code again once the store has lost them, networks too', async () => {
    const store = new SlowSettings();
    const one = await startOn(store, { deny: ['198.51.100.7'] });
    const statusOf = async (address: string): Promise<number> =>
      (await one.app.get('/nothing', { 'x-forwarded-for': address })).status;
    await one.limiter.setRules([{ id: 'api', limits: '1/hour' }], change(0));
    await one.limiter.setNetworks({ deny: ['203.0.113.7'] }, change(1));
    one.limiter.setNetworks({ deny: ['198.51.100.8'] });
    expect([await statusOf('203.0.113.7'), await statusOf('198.51.100.8')]).toEqual([403, 404]);
    store.stored = undefined;
    await holdsOn(one, 'api', '3/hour');
    expect([await statusOf('203.0.113.7'), await statusOf('198.51.100.8')]).toEqual([404, 403]);
  });

  it('that cannot be read are replaced by setRules with their version', async () => {
    const store = new SlowSettings();
    store.stored = { version: 7, text: '{"rules":[null],"networks":{}}' };
    const one = await startOn(store);
    expect(one.app.log.errors.map(String)).toContainEqual(
      expect.stringContaining('The shared settings of version 7 cannot be read'),
    );
    await expect(one.limiter.setNetworks({ deny: [] }, change(7))).rejects.toBeInstanceOf(StorageError);
    const rules = [{ id: 'api', limits: '1/hour' }];
    expect(await one.limiter.setRules(rules, change(7))).toEqual({ version: 8, rules, networks: {} });
  });

  it('may have calendar windows, which the code does not use', async () => {
    const store = new SlowSettings();
    const [one, other] = [await startOn(store), await startOn(store)];
    const rule: SharedRule = { id: 'api', limits: '1/month', strategy: 'calendar-window' };
    await one.limiter.setRules([rule], change(0));
    await holdsOn(other, 'api', '1/month');
    expect(await other.app.statuses(2, '/api')).toEqual([200, 429]);
  });

  it('log nothing when the application closes while they are read', async () => {
    const store = new SlowSettings();
    const { app } = await startOn(store);
    let lose: (error: Error) => void = () => undefined;
    store.reading = new Promise((_resolve, reject) => {
      lose = reject;
    });
    const { reads } = store;
    await until(() => store.reads > reads, 'the store is read');
    await app.nest.close();
    lose(new Error('closed'));
    await setImmediate();
    expect([app.log.errors, store.reads]).toEqual([[], reads + 1]);
  });
});

describe('The option settings', () => {
  it.each([
    ['MemoryStorage', (): MemoryStorage => new MemoryStorage()],
    ['MemcachedStorage', (): MemcachedStorage => new MemcachedStorage(serverUri('MEMCACHED') ?? '')],
  ])('stops the start on %s, which cannot share', async (name, open) => {
    const storage = open();
    await expect(startHttpApp('express', moduleOf({ storage }))).rejects.toThrow(
      new ConfigurationError(
        `RateLimitModule: ${name} cannot share settings, as the option "settings" demands. Redis, PostgreSQL, MongoDB and etcd can.`,
      ),
    );
    await storage.close();
  });

  it('is needed to share, and to read what is shared', async () => {
    const { limiter } = await start({ settings: undefined });
    const error = new ConfigurationError(
      'RateLimitModule shares no settings. Give it the option settings: { shared: true }.',
    );
    await expect(limiter.setRules([], { everywhere: true, version: 0 })).rejects.toThrow(error);
    await expect(limiter.setNetworks({}, { everywhere: true, version: 0 })).rejects.toThrow(error);
    await expect(limiter.sharedSettings()).rejects.toThrow(error);
  });
});
