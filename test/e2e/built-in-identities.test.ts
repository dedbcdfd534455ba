import { expect, it } from '@jest/globals';
import { Controller, Get, Post, type INestApplication, type Type } from '@nestjs/common';
import {
  firstOf,
  MemoryStorage,
  RateLimit,
  RateLimiterService,
  type BatchResult,
  type Hit,
  type RateLimitKey,
  type RateLimitModuleOptions,
} from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { describeOverHttp, limited, type HttpApp, type StartHttpApp } from '../support/http-app.js';

/** Records the identities that the storage receives. */
class SeenStorage extends MemoryStorage {
  readonly identities: string[] = [];

  override consume(batch: readonly Hit[]): BatchResult {
    this.identities.push(...batch.map(({ identity }) => identity));
    return super.consume(batch);
  }
}

/** Sets properties of the request from headers, as authentication and sessions would. */
const configure = (app: INestApplication): void => {
  const prepare = (request: {
    headers: Record<string, string | undefined>;
    [name: string]: unknown;
  }): void => {
    for (const name of ['user', 'session', 'sessionID']) {
      const text = request.headers[`x-test-${name.toLowerCase()}`];
      if (text !== undefined) request[name] = JSON.parse(decodeURIComponent(text));
    }
  };
  const instance: unknown = app.getHttpAdapter().getInstance();
  if (hasHooks(instance)) {
    instance.addHook('onRequest', (request, _reply, done) => {
      prepare(request);
      done();
    });
  } else {
    app.use((request: never, _response: unknown, next: () => void) => {
      prepare(request);
      next();
    });
  }
};

interface Hooks {
  addHook(name: 'onRequest', hook: (request: never, reply: unknown, done: () => void) => void): void;
}

function hasHooks(instance: unknown): instance is Hooks {
  return typeof (instance as Partial<Hooks>).addHook === 'function';
}

const json = (value: unknown): string => encodeURIComponent(JSON.stringify(value));
const user = (value: unknown): Record<string, string> => ({ 'x-test-user': json(value) });

function controllerWith(key: RateLimitKey): Type {
  @Controller()
  class KeyedController {
    @Get()
    @RateLimit('2/minute', { key })
    @RateLimit('99/minute', { name: 'address' })
    get() {
      return '';
    }
  }
  return KeyedController;
}

interface Keyed {
  readonly app: HttpApp;
  /** The identities of a request. */
  readonly identitiesOf: (headers?: Record<string, string>) => Promise<string>;
}

async function open(
  start: StartHttpApp,
  key: RateLimitKey,
  options: RateLimitModuleOptions = {},
): Promise<Keyed> {
  const storage = new SeenStorage({ clock: new ManualClock() });
  const app = await start(limited([controllerWith(key)], { storage, ...options }), {
    configure,
    trustProxy: true,
  });
  return {
    app,
    async identitiesOf(headers = {}) {
      storage.identities.length = 0;
      const { status } = await app.get('/', headers);
      return status === 500 ? '500' : (storage.identities[0] ?? '');
    },
  };
}

const ADDRESS = 'ip:127.0.0.1';

/** Starts an application with one route, POST /, that counts by a field of the body. */
async function openWithBody(
  start: StartHttpApp,
): Promise<{ app: HttpApp; bodyIdentityOf: (body: unknown) => Promise<string> }> {
  @Controller()
  class BodyController {
    @Post()
    @RateLimit('99/minute', { key: 'body:username' })
    @RateLimit('99/minute', { name: 'address' })
    post() {
      return '';
    }
  }
  const storage = new SeenStorage({ clock: new ManualClock() });
  const app = await start(limited([BodyController], { storage }));
  return {
    app,
    async bodyIdentityOf(body) {
      storage.identities.length = 0;
      const response = await fetch(await app.nest.getUrl(), {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
      expect(response.status).toBe(201);
      return storage.identities[0] ?? '';
    },
  };
}

describeOverHttp('The identity', (start) => {
  it('"ip" is the address of the client', async () => {
    const { identitiesOf } = await open(start, 'ip');
    expect(await identitiesOf()).toBe(ADDRESS);
    expect(await identitiesOf({ 'x-forwarded-for': '203.0.113.7' })).toBe('ip:203.0.113.7');
    expect(await identitiesOf({ 'x-forwarded-for': '2001:db8:1:2::3' })).toBe('ip:2001:db8:1:2::%2F64');
  });

  it.each<[unknown, string]>([
    [{ id: 'ann' }, 'user:ann'],
    [{ id: 42 }, 'user:42'],
    [{ id: 0 }, 'user:0'],
    [{ sub: 'auth0|1' }, 'user:auth0|1'],
    [{ id: 'ann', sub: 'other' }, 'user:ann'],
    [{ id: null, sub: 'ann' }, 'user:ann'],
    [{ userId: 'ann', username: 'a' }, 'user:ann'],
    [{ userId: 7, sub: 'other', _id: 'other' }, 'user:7'],
    [{ sub: 'ann', _id: 'other' }, 'user:ann'],
    [{ _id: '65a1' }, 'user:65a1'],
    [{ name: 'ann' }, ADDRESS],
    [{ id: '' }, ADDRESS],
    [{}, ADDRESS],
    [null, ADDRESS],
    ['ann', 'user:ann'],
  ])('"user" is the id or the subject of the user, or else the address: %j', async (value, identity) => {
    const { identitiesOf } = await open(start, 'user');
    expect(await identitiesOf(user(value))).toBe(identity);
    expect(await identitiesOf()).toBe(ADDRESS);
  });

  it('"user" in another shape causes one warning, with the option that resolves it', async () => {
    const { app, identitiesOf } = await open(start, 'user');
    expect(await identitiesOf(user({ username: 'ann' }))).toBe(ADDRESS);
    expect(await identitiesOf(user({ username: 'bob' }))).toBe(ADDRESS);
    expect(app.log.warnings).toEqual([
      'The key "user" found none of id, userId, sub, _id in request.user, so the address was counted instead. Resolve it by the ' +
        'module\'s option "user": (request: { user?: { account: string } }) => request.user?.account, for example.',
    ]);
    const known = await open(start, 'user', { user: () => undefined });
    expect(await known.identitiesOf(user({ username: 'ann' }))).toBe(ADDRESS);
    expect(known.app.log.warnings).toEqual([]);
  });

  it('"user" can be an ObjectId, and can be resolved asynchronously', async () => {
    const objectId = { toHexString: () => '65a1b2' };
    const { identitiesOf } = await open(start, 'user', { user: async () => Promise.resolve(objectId) });
    expect(await identitiesOf()).toBe('user:65a1b2');
  });

  it.each([NaN, Infinity, -Infinity])(
    '"user" is never %p, which would be one count for many users',
    async (id) => {
      const { app, identitiesOf } = await open(start, 'user', { user: () => id });
      expect(await identitiesOf()).toBe('500');
      expect(app.log.errors.map((error) => (error as Error).message)).toEqual([
        `The key "user" must be a string or a number; got the number ${id}. Resolve it by the module's option "user": ` +
          '(request: { user?: { account: string } }) => request.user?.account, for example.',
      ]);
    },
  );

  it('"body:x" is the text of that field of the body, hashed for the store', async () => {
    const { app, bodyIdentityOf } = await openWithBody(start);
    const identity = await bodyIdentityOf({ username: 'ann' });
    expect(identity).toMatch(/^body:username#:[\w-]{43}$/);
    expect(await bodyIdentityOf({ username: 'ann', other: 1 })).toBe(identity);
    expect(await bodyIdentityOf({ username: 'Ann' })).not.toBe(identity);
    for (const body of [{ username: 5 }, { username: '' }, { username: ['ann'] }, { username: null }, {}, []])
      expect(await bodyIdentityOf(body)).toBe(ADDRESS);
    expect(await bodyIdentityOf({ constructor: 'x' })).toBe(ADDRESS);
    expect(app.log.errors).toEqual([]);
    const service = app.nest.get(RateLimiterService);
    expect((await service.peek({ policy: 'default' }, 'ann')).remaining).toBe(97);
  });

  it('"user" is the value that the application returns', async () => {
    const { identitiesOf } = await open(start, 'user', {
      user: (request) => (request?.user as { account?: unknown } | undefined)?.account,
    });
    expect(await identitiesOf(user({ id: 'ann', account: 'acme' }))).toBe('user:acme');
    expect(await identitiesOf(user({ id: 'ann' }))).toBe(ADDRESS);
  });

  it('"user" is never a text that all objects have in common', async () => {
    const { app, identitiesOf } = await open(start, 'user');
    expect(await identitiesOf(user({ id: { oid: 1 } }))).toBe('500');
    expect(await identitiesOf(user({ id: true }))).toBe('500');
    expect(app.log.errors.map((error) => (error as Error).message)).toEqual([
      'The key "user" must be a string or a number; got an object (Object). Resolve it by the module\'s option "user": ' +
        '(request: { user?: { account: string } }) => request.user?.account, for example.',
      'The key "user" must be a string or a number; got the boolean true. Resolve it by the module\'s option "user": ' +
        '(request: { user?: { account: string } }) => request.user?.account, for example.',
    ]);
  });

  it('"user" is not the address of the same spelling', async () => {
    const { app } = await open(start, 'user');
    const address = { 'x-forwarded-for': '1.2.3.4' };
    expect(await app.statuses(3, '/', address)).toEqual([200, 200, 429]);
    expect(await app.statuses(3, '/', { ...address, ...user({ id: '1.2.3.4' }) })).toEqual([200, 200, 429]);
  });

  it('can be any text: all are distinct, and short in the store', async () => {
    const { app, identitiesOf } = await open(start, 'user');
    const ids = [
      'a/b',
      'a%2Fb',
      'a b',
      'a\tb',
      '{a}',
      'ä',
      'a\u0308',
      '😀',
      '名前',
      'a:b',
      '#:a',
      'ip:127.0.0.1',
    ];
    ids.push('x'.repeat(4096), `${'x'.repeat(4095)}y`, '😀'.repeat(200));
    const identities: string[] = [];
    for (const id of ids) identities.push(await identitiesOf(user({ id })));
    expect(new Set(identities).size).toBe(ids.length);
    expect(Math.max(...identities.map((identity) => identity.length))).toBeLessThan(140);
    for (const id of ids) expect(await app.statuses(2, '/', user({ id }))).toEqual([200, 429]);
    const service = app.nest.get(RateLimiterService);
    for (const id of ids) expect((await service.peek({ policy: 'default' }, id)).remaining).toBe(0);
  });

  it('"api-key" is the key of the header, hashed for the store', async () => {
    const { app, identitiesOf } = await open(start, 'api-key');
    const identity = await identitiesOf({ 'x-api-key': 'secret' });
    expect(identity).toMatch(/^api-key#:[\w-]{43}$/);
    expect(await identitiesOf({ 'x-api-key': 'secret' })).toBe(identity);
    expect(await identitiesOf({ 'x-api-key': 'Secret' })).not.toBe(identity);
    expect(await identitiesOf()).toBe(ADDRESS);
    expect((await app.nest.get(RateLimiterService).peek({ policy: 'default' }, 'secret')).remaining).toBe(0);
  });

  it('"api-key" is in another header, if the application has that option', async () => {
    const { identitiesOf } = await open(start, 'api-key', { apiKeyHeader: 'X-Token' });
    expect(await identitiesOf({ 'x-token': 'secret' })).toMatch(/^api-key#:/);
    expect(await identitiesOf({ 'x-api-key': 'secret' })).toBe(ADDRESS);
  });

  it('"header:x" is the value of the header, whatever the case of its name', async () => {
    const { identitiesOf } = await open(start, 'header:X-Tenant');
    expect(await identitiesOf({ 'x-tenant': 'acme' })).toBe('header:x-tenant:acme');
    expect(await identitiesOf({ 'X-TENANT': 'a/b' })).toBe('header:x-tenant:a%2Fb');
    expect(await identitiesOf({ 'x-tenant': '' })).toBe(ADDRESS);
    expect(await identitiesOf()).toBe(ADDRESS);
  });

  it.each(['authorization', 'cookie'] as const)(
    '"header:%s" is hashed for the store, since it is a credential',
    async (name) => {
      const { identitiesOf } = await open(start, `header:${name}`);
      expect(await identitiesOf({ [name]: 'secret' })).toMatch(new RegExp(`^header:${name}#:[\\w-]{43}$`));
    },
  );

  it.each<[string, unknown]>([
    ['session', { id: 's1' }],
    ['session', { sessionId: 's1' }],
    ['sessionid', 's1'],
  ])('"session" is the id of the session, hashed for the store: %s %j', async (where, value) => {
    const { identitiesOf } = await open(start, 'session');
    const identity = await identitiesOf({ [`x-test-${where}`]: json(value) });
    expect(identity).toMatch(/^session#:[\w-]{43}$/);
    expect(await identitiesOf()).toBe(ADDRESS);
  });

  it('of several parts has all of them, and the address for a missing one', async () => {
    const { app, identitiesOf } = await open(start, ['header:x-tenant', 'user']);
    expect(await identitiesOf({ 'x-tenant': 'acme', ...user({ id: 'ann' }) })).toBe(
      'header:x-tenant:acme/user:ann',
    );
    expect(await identitiesOf({ 'x-tenant': 'acme/user:ann' })).toBe(
      'header:x-tenant:acme%2Fuser:ann/ip:127.0.0.1',
    );
    expect(await identitiesOf()).toBe('ip:127.0.0.1/ip:127.0.0.1');
    const service = app.nest.get(RateLimiterService);
    expect((await service.peek({ policy: 'default' }, 'acme', 'ann')).remaining).toBe(1);
    expect(() => service.peek({ policy: 'default' }, 'acme')).toThrow(
      'The policy is counted for an identity of 2 parts; got 1 identifiers.',
    );
  });

  it('of several parts can have parts with several parts', async () => {
    const { app, identitiesOf } = await open(start, ['ip', ['header:x-tenant', ['user']]]);
    expect(await identitiesOf({ 'x-tenant': 'acme', ...user({ id: 'ann' }) })).toBe(
      'ip:127.0.0.1/header:x-tenant:acme/user:ann',
    );
    const service = app.nest.get(RateLimiterService);
    expect((await service.peek({ policy: 'default' }, '127.0.0.1', 'acme', 'ann')).remaining).toBe(1);
  });

  it('that is the first of several is the first that exists', async () => {
    const { app, identitiesOf } = await open(
      start,
      firstOf('user', 'api-key', ['header:x-tenant', 'ip'], 'ip'),
    );
    expect(await identitiesOf({ 'x-api-key': 'k', ...user({ id: 'ann' }) })).toBe('user:ann');
    expect(await identitiesOf({ 'x-api-key': 'k' })).toMatch(/^api-key#:/);
    expect(await identitiesOf({ 'x-tenant': 'acme' })).toBe('header:x-tenant:acme/ip:127.0.0.1');
    const service = app.nest.get(RateLimiterService);
    expect((await service.peek({ policy: 'default', as: 'user' }, 'ann')).remaining).toBe(1);
    expect((await service.peek({ policy: 'default', as: 'api-key' }, 'k')).remaining).toBe(1);
    expect(() => service.peek({ policy: 'default' }, 'ann')).toThrow(
      "The policy is counted for the first of several identities. Say which: { policy, as: 'user' }.",
    );
  });

  it('that is the first of several is the address if none exists', async () => {
    const { identitiesOf } = await open(
      start,
      firstOf('user', () => undefined),
    );
    expect(await identitiesOf()).toBe(ADDRESS);
  });

  it.each<[unknown, string]>([
    ['tenant', 'there is no key the string "tenant".'],
    ['header:', 'there is no key the string "header:".'],
    ['header:a b', 'there is no key the string "header:a b".'],
    ['body:', 'there is no key the string "body:".'],
    [
      [],
      'a key must be a name such as "user", a function, an IdentityResolver, a list of keys or firstOf(…); got an array.',
    ],
    [
      {},
      'a key must be a name such as "user", a function, an IdentityResolver, a list of keys or firstOf(…); got an object (Object).',
    ],
    [
      ['ip', 7],
      'a key must be a name such as "user", a function, an IdentityResolver, a list of keys or firstOf(…); got the number 7.',
    ],
  ])('that is invalid stops the start: %j', async (key, message) => {
    await expect(open(start, key as RateLimitKey)).rejects.toThrow(
      `@RateLimit on KeyedController.get: ${message}`,
    );
  });
});

describeOverHttp('An identity that only the client asserts', (start) => {
  const WARNING = (where: string, key: string): string =>
    `${where}: the key "${key}" is not verified, and before authentication each new value ` +
    "has a fresh count. Also add a limit by 'ip', or count it after authentication: phase: 'afterAuth'.";

  function alone(key: RateLimitKey, phase: 'beforeAuth' | 'afterAuth' = 'beforeAuth'): Type {
    @Controller()
    class AssertedController {
      @Get()
      @RateLimit('2/minute', { key, phase })
      get() {
        return '';
      }
    }
    return AssertedController;
  }

  it.each<[RateLimitKey, string]>([
    ['api-key', 'api-key'],
    ['header:x-tenant', 'header:x-tenant'],
    ['session', 'session'],
    ['body:username', 'body:username'],
    [firstOf('user', 'api-key'), 'user, api-key'],
    [['api-key', 'ip'], 'api-key+ip'],
  ])('causes a warning at the start, once, if it is alone before authentication: %p', async (key, name) => {
    const app = await start(limited([alone(key)]));
    await app.get('/');
    expect(app.log.warnings).toEqual([WARNING('@RateLimit on AssertedController.get', name)]);
  });

  it.each<[string, Type, RateLimitModuleOptions]>([
    ['beside a limit by address', controllerWith('api-key'), {}],
    ['beside one of the module', alone('api-key'), { limits: [{ name: 'all', limits: '9/minute' }] }],
    ['after authentication', alone('api-key', 'afterAuth'), {}],
    ['what a server has found out', alone('user'), {}],
    ['what a function has found out', alone(() => 'all'), {}],
  ])('causes no warning %s', async (_where, controller, options) => {
    const app = await start(limited([controller], options));
    expect(app.log.warnings).toEqual([]);
  });

  const byKey = { id: 'key', path: '/api/**', limits: '9/minute', key: 'api-key' } as const;

  it.each<[string, NonNullable<RateLimitModuleOptions['rules']>, number]>([
    ['alone', [byKey], 1],
    [
      'beside one by address that is never tried with it',
      [byKey, { id: 'all', path: '/**', limits: '9/minute' }],
      1,
    ],
    [
      'beside one by address that is tried before',
      [byKey, { id: 'all', path: '/**', limits: '9/minute', priority: 1, continue: true }],
      0,
    ],
    [
      'beside one by address that is tried after',
      [
        { ...byKey, continue: true },
        { id: 'all', path: '/**', limits: '9/minute' },
      ],
      0,
    ],
    [
      'beside one by address that is narrower',
      [
        { ...byKey, continue: true },
        { id: 'all', path: '/api/x', limits: '9/minute' },
      ],
      1,
    ],
    ['after authentication', [{ ...byKey, phase: 'afterAuth' }], 0],
  ])('also causes a warning in rules: %s', async (_where, rules, count) => {
    const app = await start(limited([controllerWith('ip')], { rules }));
    expect(app.log.warnings).toEqual(Array(count).fill(WARNING('The rule "key"', 'api-key')));
  });
});
