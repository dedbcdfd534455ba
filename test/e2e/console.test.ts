import { describe, expect, it } from '@jest/globals';
import {
  Controller,
  Get,
  Inject,
  Injectable,
  Module,
  Post,
  Scope,
  VersioningType,
  type CanActivate,
  type ExecutionContext,
  type ModuleMetadata,
} from '@nestjs/common';
import { REQUEST, RouterModule } from '@nestjs/core';
import {
  applyRateLimits,
  ConfigurationError,
  RateLimit,
  RateLimiterService,
  RateLimitModule,
  MemoryStorage,
  type RateLimitModuleOptions,
} from 'nestjs-limits';
import { RateLimitConsoleModule, type RateLimitConsoleOptions } from 'nestjs-limits/console';
import { ManualClock } from 'nestjs-limits/testing';
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import type { Server } from 'node:http';
import type {
  IdentityState,
  PolicyMessage,
  PolicyView,
  SnapshotMessage,
} from '../../lib/nest/console/console-messages.js';
import { readStream } from '../support/event-stream.js';
import { Gate } from '../support/gate.js';
import { describeOverHttp, HttpReply, type HttpApp } from '../support/http-app.js';
import { until } from '../support/http-exchange.js';

@Injectable()
class Passwords {
  readonly right = 'secret';
}

@Module({ providers: [Passwords], exports: [Passwords] })
class PasswordModule {}

@Injectable()
class AdminGuard implements CanActivate {
  constructor(private readonly passwords: Passwords) {}

  canActivate(context: ExecutionContext): boolean {
    const { headers } = context.switchToHttp().getRequest<{ headers: Record<string, unknown> }>();
    return headers['x-password'] === this.passwords.right;
  }
}

/** Made for each request, and with it the controller of the console. */
@Injectable({ scope: Scope.REQUEST })
class RequestGuard implements CanActivate {
  constructor(@Inject(REQUEST) private readonly request: { headers: Record<string, unknown> }) {}

  canActivate(): boolean {
    return this.request.headers['x-password'] === PASSWORD['x-password'];
  }
}

@Controller()
class ShopController {
  @Get('shop')
  @RateLimit('2/minute', { name: 'shop', block: ['15 minutes', '1 hour'] })
  shop() {
    return '';
  }

  @Get('keyed')
  @RateLimit('1/minute', { name: 'keyed', key: 'api-key', scope: 'global' })
  keyed() {
    return '';
  }

  @Post('keyed')
  @RateLimit('1/minute', { name: 'keyed', key: 'api-key', scope: 'global' })
  keyedToo() {
    return '';
  }

  @Get('tenants')
  @RateLimit('1/minute', { name: 'tenants', key: ['header:x-tenant', 'header:x-user'] })
  tenants() {
    return '';
  }

  @Get('found')
  @RateLimit(() => '1/hour', { name: 'found' })
  found() {
    return '';
  }

  @Get('rehearsed')
  @RateLimit(() => '1/hour', { name: 'rehearsed', mode: 'shadow' })
  rehearsed() {
    return '';
  }

  @Get('planned')
  @RateLimit({ free: '1/minute', pro: '3/minute' }, { name: 'planned', mode: 'shadow' })
  planned() {
    return '';
  }
}

function withConsole(
  consoleOptions: RateLimitConsoleOptions = { open: true },
  options: RateLimitModuleOptions = {},
): ModuleMetadata {
  const storage = new MemoryStorage({ clock: new ManualClock() });
  return {
    imports: [
      RateLimitModule.forRoot({ storage, ...options }),
      RateLimitConsoleModule.forRoot(consoleOptions),
    ],
    controllers: [ShopController],
  };
}

const GUARDED = { guards: [AdminGuard], imports: [PasswordModule] };
const PASSWORD = { 'x-password': 'secret' };

function portOf(app: HttpApp): number {
  return ((app.nest.getHttpServer() as Server).address() as AddressInfo).port;
}

/** Sends any header and body, unlike fetch. */
async function send(
  app: HttpApp,
  method: string,
  path: string,
  headers: Record<string, string> = {},
  body?: string,
): Promise<HttpReply> {
  const sent = httpRequest({ host: '127.0.0.1', port: portOf(app), method, path, headers });
  sent.end(body);
  const [response] = (await once(sent, 'response')) as [
    NodeJS.ReadableStream & { statusCode: number; headers: Record<string, string> },
  ];
  let text = '';
  for await (const piece of response.setEncoding('utf8')) text += String(piece);
  return new HttpReply(response.statusCode, new Headers(response.headers), text);
}

/** Returns the first event of a stream. */
async function firstEvent<T>(app: HttpApp, path: string, headers: Record<string, string> = {}): Promise<T> {
  const url = `http://127.0.0.1:${portOf(app)}${path}`;
  const { status, contentType, text } = await readStream(url, (read) => read.includes('\n\n'), headers);
  expect([status, contentType]).toEqual([200, 'text/event-stream']);
  return JSON.parse(/^data: (.*)$/m.exec(text)?.[1] ?? '') as T;
}

async function policyNamed(app: HttpApp, name: string): Promise<PolicyView> {
  const { policies } = await firstEvent<SnapshotMessage>(app, '/rate-limits/events');
  return policies.find((policy) => policy.name === name) as PolicyView;
}

function post(app: HttpApp, body: object | string, headers: Record<string, string> = {}): Promise<HttpReply> {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const own = { 'content-type': 'application/json', 'sec-fetch-site': 'same-origin' };
  return send(app, 'POST', '/rate-limits/identities', { ...own, ...headers }, text);
}

/** Requests a path twice, as a client of its own. */
async function statusesOf(app: HttpApp, path: string): Promise<number[]> {
  const headers = { 'x-client': path };
  return [(await send(app, 'GET', path, headers)).status, (await send(app, 'GET', path, headers)).status];
}

describe('The options of the console', () => {
  it.each<[what: string, options: unknown, message: string]>([
    ['no guards', {}, 'RateLimitConsoleModule needs guards'],
    ['an empty list of guards', { guards: [] }, 'RateLimitConsoleModule needs guards'],
    ['guards and open', { guards: [AdminGuard], open: true }, 'takes guards or open: true, not both'],
    [
      'a guard that is none',
      { guards: [Passwords] },
      'must be a list of guards, which have a method canActivate; got a function (Passwords)',
    ],
    ['a guard that is missing', { guards: [undefined] }, 'which have a method canActivate; got undefined.'],
    ['a guard for a list', { guards: AdminGuard }, 'must be a list'],
    [
      'a path with a parameter',
      { open: true, path: '/:id' },
      'must be a path of plain segments, such as "/rate-limits"; got the string "/:id"',
    ],
    ['the root', { open: true, path: '/' }, 'must be a path of plain segments'],
    ['an unknown option', { open: true, port: 1 }, 'does not know the option "port"'],
    ['no options', undefined, 'must be an object; got undefined'],
  ])('stop the start for %s', (_what, options, message) => {
    const configure = (): unknown => RateLimitConsoleModule.forRoot(options as RateLimitConsoleOptions);
    expect(configure).toThrow(ConfigurationError);
    expect(configure).toThrow(message);
  });
});

describeOverHttp('The console', (start, platform) => {
  it('serves its page, and files named relative to it, also below a global prefix and with versions', async () => {
    const app = await start(withConsole({ open: true, path: 'ops/limits' }), {
      configure: (nest) => {
        nest.setGlobalPrefix('api');
        nest.enableVersioning({ type: VersioningType.URI, defaultVersion: '1' });
      },
    });
    const page = await app.get('/api/ops/limits');
    expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
    expect([...page.text.matchAll(/(?:src|href)="(limits[^"]*)"/g)].map(([, file]) => file)).toEqual([
      'limits/page.css',
      'limits/page.js',
    ]);
    expect((await app.get('/api/ops/limits/page.css')).headers.get('content-type')).toBe(
      'text/css; charset=utf-8',
    );
    expect((await app.get('/api/ops/limits/page.js')).headers.get('content-type')).toBe(
      'text/javascript; charset=utf-8',
    );
  });

  it('redirects a path that ends with a slash, where the files of the page would be named wrongly', async () => {
    const app = await start(withConsole());
    const { status, text } = await app.get('/rate-limits/');
    if (platform === 'fastify') expect(status).toBe(404);
    else expect([status, text]).toEqual([200, (await app.get('/rate-limits')).text]);
  });

  it('sends a strict Content-Security-Policy with every file, and lets nobody frame or store them', async () => {
    const app = await start(withConsole());
    for (const file of ['', '/page.js', '/page.css']) {
      const { headers } = await app.get(`/rate-limits${file}`);
      expect(headers.get('content-security-policy')).toBe(
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; " +
          "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
      );
      expect(headers.get('x-frame-options')).toBe('DENY');
      expect(headers.get('cache-control')).toBe('no-store');
    }
    const { text } = await app.get('/rate-limits');
    expect(text).not.toMatch(/<style|<script(?![^>]* src=)| style=| on\w+=/);
  });

  it('describes the policies: where they are declared, their limits, strategy, key and mode', async () => {
    const app = await start(
      withConsole(undefined, {
        limits: '100/hour',
        rules: [{ id: 'api', path: '/api/**', limits: '5/minute', strategy: 'token-bucket', burst: 9 }],
      }),
    );
    const { policies, process: shown } = await firstEvent<SnapshotMessage>(app, '/rate-limits/events');
    expect(shown.pid).toBe(process.pid);
    const described = policies.map(({ name, where, limits, strategy, key, mode }) => [
      name,
      where,
      limits.map(({ text, plan }) => (plan === undefined ? text : `${plan}: ${text}`)).join('; '),
      strategy,
      key.join(),
      mode,
    ]);
    expect(described.sort(([one = ''], [other = '']) => (one < other ? -1 : 1))).toEqual([
      ['api', 'The rule "api"', '5 per minute, burst 9', 'token-bucket', 'ip', 'enforce'],
      ['default', 'RateLimitModule', '100 per hour', 'fixed-window', 'ip', 'enforce'],
      ['found', '@RateLimit on ShopController.found', '', 'fixed-window', 'ip', 'enforce'],
      ['keyed', '@RateLimit on ShopController.keyed', '1 per minute', 'fixed-window', 'api-key', 'enforce'],
      [
        'keyed',
        '@RateLimit on ShopController.keyedToo',
        '1 per minute',
        'fixed-window',
        'api-key',
        'enforce',
      ],
      [
        'planned',
        '@RateLimit on ShopController.planned',
        '1 per minute; free: 1 per minute; pro: 3 per minute',
        'fixed-window',
        'ip',
        'shadow',
      ],
      ['rehearsed', '@RateLimit on ShopController.rehearsed', '', 'fixed-window', 'ip', 'shadow'],
      ['shop', '@RateLimit on ShopController.shop', '2 per minute', 'fixed-window', 'ip', 'enforce'],
      [
        'tenants',
        '@RateLimit on ShopController.tenants',
        '1 per minute',
        'fixed-window',
        'header:x-tenant+header:x-user',
        'enforce',
      ],
    ]);
  });

  it('tells the identities that a policy refuses, and the refusals of each limit; hashed ones stay hashed', async () => {
    const app = await start(withConsole());
    expect(await app.statuses(5, '/shop')).toEqual([200, 200, 429, 429, 429]);
    await app.statuses(2, '/keyed', { 'x-api-key': 'very-secret' });
    const { id } = await policyNamed(app, 'shop');
    expect(await firstEvent<PolicyMessage>(app, `/rate-limits/policies/${id}/events`)).toEqual({
      limits: [{ name: 'shop', text: '2 per minute', mode: 'enforce', refusals: 3 }],
      refusals: 3,
      identities: [{ identity: 'ip:127.0.0.1', count: 3, error: 0 }],
    });
    const keyed = await policyNamed(app, 'keyed');
    const { identities } = await firstEvent<PolicyMessage>(app, `/rate-limits/policies/${keyed.id}/events`);
    expect(identities).toEqual([
      { identity: expect.stringMatching(/^api-key#:[\w-]{43}$/), count: 1, error: 0 },
    ]);
    expect((await app.get('/rate-limits/policies/99/events')).status).toBe(404);
  });

  it('looks up, clears, blocks and unblocks an identity as it is listed, and logs what it changes', async () => {
    const app = await start(withConsole());
    const { id: policy } = await policyNamed(app, 'shop');
    const identity = 'ip:127.0.0.1';
    expect(await app.statuses(3, '/shop')).toEqual([200, 200, 429]);
    expect((await post(app, { action: 'look-up', policy, identity })).body).toEqual({
      identity,
      allowed: false,
      limits: [
        {
          name: 'shop',
          text: '2 per minute',
          remaining: 0,
          burst: 2,
          allowed: false,
          blocked: true,
          resetTime: expect.any(Number),
          retryAfter: 900_000,
        },
      ],
    });
    expect((await post(app, { action: 'clear', policy, identity })).body).toMatchObject({ allowed: true });
    expect((await app.get('/shop')).status).toBe(200);
    const blocked = await post(app, { action: 'block', policy, identity, duration: '30 minutes' });
    expect(blocked.body).toMatchObject({
      allowed: false,
      limits: [{ blocked: true, retryAfter: 1_800_000 }],
    });
    expect((await app.get('/shop')).status).toBe(429);
    expect((await post(app, { action: 'unblock', policy, identity })).body).toMatchObject({ allowed: true });
    expect((await app.get('/shop')).status).toBe(200);
    expect(app.log.infos.filter((line) => String(line).startsWith('Console: '))).toEqual([
      'Console: clear of "ip:127.0.0.1" in the policy "shop", by 127.0.0.1.',
      'Console: block of "ip:127.0.0.1" in the policy "shop" for "30 minutes", by 127.0.0.1.',
      'Console: unblock of "ip:127.0.0.1" in the policy "shop", by 127.0.0.1.',
    ]);
  });

  it('finds an identity by the value of the key, by several values, and by a hash', async () => {
    const app = await start(withConsole());
    await app.get('/keyed', { 'x-api-key': 'one' });
    await app.get('/tenants', { 'x-tenant': 'acme', 'x-user': '42' });
    const keyed = await policyNamed(app, 'keyed');
    const byValue = (await post(app, { action: 'look-up', policy: keyed.id, identity: 'one' }))
      .body as IdentityState;
    expect(byValue).toMatchObject({
      identity: expect.stringMatching(/^api-key#:/),
      limits: [{ remaining: 0 }],
    });
    const byHash = await post(app, { action: 'clear', policy: keyed.id, identity: byValue.identity });
    expect(byHash.body).toMatchObject({ identity: byValue.identity, limits: [{ remaining: 1 }] });
    const tenants = await policyNamed(app, 'tenants');
    for (const identity of ['acme/42', 'header:x-tenant:acme/header:x-user:42'])
      expect((await post(app, { action: 'look-up', policy: tenants.id, identity })).body).toMatchObject({
        identity: 'header:x-tenant:acme/header:x-user:42',
        limits: [{ remaining: 0 }],
      });
  });

  it('needs the limits of a function, and takes a plan', async () => {
    const app = await start(withConsole());
    const identity = '127.0.0.1';
    const found = await policyNamed(app, 'found');
    expect(found.needsLimits).toBe(true);
    const without = await post(app, { action: 'look-up', policy: found.id, identity });
    expect([without.status, without.text]).toEqual([
      400,
      expect.stringContaining('By hand, give them beside its name'),
    ]);
    const given = await post(app, { action: 'look-up', policy: found.id, identity, limits: '1/hour' });
    expect(given.body).toMatchObject({ limits: [{ text: '1 per hour' }] });
    const planned = await policyNamed(app, 'planned');
    const pro = await post(app, { action: 'look-up', policy: planned.id, identity, plan: 'pro' });
    expect(pro.body).toMatchObject({ limits: [{ text: '3 per minute' }] });
  });

  it('says what is wrong with an action, and changes nothing', async () => {
    const app = await start(withConsole());
    await app.nest.get(RateLimiterService).hit('1/minute', 'mails');
    const [shop, keyed, byHand] = [
      await policyNamed(app, 'shop'),
      await policyNamed(app, 'keyed'),
      await policyNamed(app, 'items'),
    ];
    const action = { action: 'block', policy: shop.id, identity: 'ip:1.2.3.4' };
    const answers = [
      await post(app, { ...action, action: 'destroy' }),
      await post(app, { ...action, policy: 'shop' }),
      await post(app, { ...action, policy: 99 }),
      await post(app, { ...action, identity: '' }),
      await post(app, { ...action, identity: 'x'.repeat(1001) }),
      await post(app, { ...action, duration: '2 days' }),
      await post(app, { ...action, policy: keyed.id }),
      await post(app, { ...action, policy: byHand.id }),
      await post(app, '"text"'),
      await post(app, '{'),
    ];
    const messages = answers.map(({ status, body }) => `${status} ${(body as { message: string }).message}`);
    expect(messages.slice(0, 8)).toEqual([
      '400 "action" must be one of look-up, clear, block, unblock.',
      '400 "policy" must be the number of a policy.',
      '404 There is no such policy any more.',
      '400 "identity" must be a text of 1 to 1000 characters.',
      '400 "identity" must be a text of 1 to 1000 characters.',
      '400 The policy "shop" blocks for 1 hour at most; got the string "2 days".',
      '400 The policy "keyed" blocks nobody. Give it the option block, such as \'15 minutes\'.',
      '400 The limits "items" are counted by hand, and changed only there: limiter.clear(limits, identity).',
    ]);
    expect(answers.slice(8).map(({ status }) => status)).toEqual([400, 400]);
    expect(app.log.infos.filter((line) => String(line).startsWith('Console: '))).toEqual([]);
  });

  it('takes actions where the application parses no bodies', async () => {
    const app = await start(withConsole(), { bodyParser: false });
    const { id: policy } = await policyNamed(app, 'shop');
    const answer = await post(app, { action: 'look-up', policy, identity: '1.2.3.4' });
    expect([answer.status, answer.body]).toMatchObject([200, { identity: 'ip:1.2.3.4', allowed: true }]);
    const chunked = await post(app, `"${'x'.repeat(9000)}"`, { 'transfer-encoding': 'chunked' });
    expect(chunked.status).toBe(platform === 'express' ? 413 : 400); // Fastify always parses JSON

    expect((await post(app, '{')).status).toBe(400);
  });

  it('is exempt from the limits of routes, of the module and of rules', async () => {
    const app = await start(
      withConsole(undefined, { limits: '1/minute', rules: [{ id: 'all', path: '/**', limits: '1/minute' }] }),
    );
    expect(await app.statuses(4, '/rate-limits')).toEqual([200, 200, 200, 200]);
    expect(await app.statuses(2, '/rate-limits/page.js')).toEqual([200, 200]);
    expect((await app.get('/rate-limits')).fields).toEqual({});
  });

  it('is exempt from rules that applyRateLimits applies, and nothing next to it is', async () => {
    const rules = [{ id: 'all', path: '/**', limits: '1/minute', key: 'header:x-client' } as const];
    const app = await start(withConsole(undefined, { rules }), {
      configure: (nest) => {
        nest.setGlobalPrefix('api');
        applyRateLimits(nest);
      },
    });
    expect(await app.statuses(3, '/api/rate-limits')).toEqual([200, 200, 200]);
    expect(await app.statuses(2, '/api/rate-limits/page.js')).toEqual([200, 200]);
    for (const path of [
      '/api/rate-limits2',
      '/rate-limits',
      '/api/rate-limits/..%2fshop',
      '/nothing/api/rate-limits',
    ])
      expect([path, await statusesOf(app, path)]).toEqual([path, [404, 429]]);
  });

  it.each<[where: string, path: string, exclude: string[], modulePath: string]>([
    ['outside the global prefix', '/rate-limits', ['rate-limits{/*path}'], '/'],
    ['below the path of its module', '/api/ops/rate-limits', [], 'ops'],
    ['at both', '/ops/rate-limits', ['ops/*path'], '/ops/'],
  ])('is exempt from rules that applyRateLimits applies %s', async (_where, path, exclude, modulePath) => {
    const metadata = withConsole(undefined, { rules: [{ id: 'all', path: '/**', limits: '1/minute' }] });
    const routes = RouterModule.register([{ path: modulePath, module: RateLimitConsoleModule }]);
    const app = await start(
      { ...metadata, imports: [...(metadata.imports ?? []), routes] },
      {
        configure: (nest) => {
          nest.setGlobalPrefix('api', { exclude });
          applyRateLimits(nest);
        },
      },
    );
    expect(await app.statuses(2, path)).toEqual([200, 200]);
    expect(await app.statuses(2, `${path}/page.js`)).toEqual([200, 200]);
    expect(await app.statuses(2, '/nothing')).toEqual([404, 429]);
  });

  it('shows the slots that are held', async () => {
    const app = await start(withConsole());
    const limiter = app.nest.get(RateLimiterService);
    const lease = await limiter.acquire('5 concurrent', ['exports']);
    const { store } = await firstEvent<SnapshotMessage>(app, '/rate-limits/events');
    expect([store.slots, store.waiting]).toEqual([1, 0]);
    await lease.release();
    const later = await firstEvent<SnapshotMessage>(app, '/rate-limits/events');
    expect([later.store.slots, later.store.waiting]).toEqual([0, 0]);
  });

  it('logs no API key that an operator enters', async () => {
    const app = await start(withConsole());
    const { id } = await policyNamed(app, 'keyed');
    expect((await post(app, { action: 'clear', policy: id, identity: 'top-secret-key' })).status).toBe(200);
    const lines = app.log.infos.map(String).filter((line) => line.startsWith('Console: '));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^Console: clear of "api-key#:\S+" in the policy "keyed", by \S+\.$/);
  });

  it('refuses everything to those whom its guards refuse', async () => {
    const app = await start(withConsole(GUARDED));
    for (const path of ['', '/page.js', '/page.css', '/events', '/policies/0/events'])
      expect([path, (await app.get(`/rate-limits${path}`)).status]).toEqual([path, 403]);
    const action = { action: 'clear', policy: 0, identity: 'ip:127.0.0.1' };
    expect((await post(app, action)).status).toBe(403);
    expect((await app.get('/rate-limits', PASSWORD)).status).toBe(200);
    expect((await post(app, { ...action, action: 'look-up' }, PASSWORD)).status).toBe(200);
  });

  it('has guards that are made for each request', async () => {
    const app = await start(withConsole({ guards: [RequestGuard] }));
    expect((await app.get('/rate-limits/events')).status).toBe(403);
    expect((await app.get('/rate-limits', PASSWORD)).status).toBe(200);
    await firstEvent<SnapshotMessage>(app, '/rate-limits/events', PASSWORD);
    const action = { action: 'look-up', policy: 0, identity: 'ip:127.0.0.1' };
    expect((await post(app, action, PASSWORD)).status).toBe(200);
    expect(app.log.errors).toEqual([]);
  });

  it('refuses actions of other sites, whatever their guards admit', async () => {
    const app = await start(withConsole(GUARDED));
    const { policies } = await firstEvent<SnapshotMessage>(app, '/rate-limits/events', PASSWORD);
    const action = { action: 'look-up', policy: policies[0]?.id, identity: '1.2.3.4' };
    const host = `127.0.0.1:${portOf(app)}`;
    const statusWith = async (headers: Record<string, string>): Promise<number> => {
      const sent = { 'content-type': 'application/json', ...PASSWORD, ...headers };
      return (await send(app, 'POST', '/rate-limits/identities', sent, JSON.stringify(action))).status;
    };
    expect(await statusWith({ 'sec-fetch-site': 'same-origin', origin: `https://admin.example` })).toBe(200); // behind a proxy
    expect(await statusWith({ origin: `http://${host}` })).toBe(200);
    expect(await statusWith({})).toBe(403);
    expect(await statusWith({ origin: 'null' })).toBe(403);
    expect(await statusWith({ origin: 'http://evil.example' })).toBe(403);
    expect(await statusWith({ origin: `http://${host}.evil.example` })).toBe(403);
    for (const site of ['cross-site', 'same-site', 'none'])
      expect(await statusWith({ 'sec-fetch-site': site, origin: `http://${host}` })).toBe(403);
    const form = { 'content-type': 'text/plain', 'sec-fetch-site': 'same-origin', ...PASSWORD };
    expect((await send(app, 'POST', '/rate-limits/identities', form, JSON.stringify(action))).status).toBe(
      415,
    );
  });

  it('refuses other sites to read, but can be linked to', async () => {
    const app = await start(withConsole());
    const status = async (path: string, headers: Record<string, string>): Promise<number> =>
      (await send(app, 'GET', path, { host: 'localhost', ...headers })).status;
    const cross = { 'sec-fetch-site': 'cross-site' };
    expect(await status('/rate-limits', { ...cross, 'sec-fetch-mode': 'navigate' })).toBe(200);
    expect(await status('/rate-limits/page.js', { ...cross, 'sec-fetch-mode': 'no-cors' })).toBe(403);
    expect(await status('/rate-limits/events', { ...cross, 'sec-fetch-mode': 'cors' })).toBe(403);
    expect(await status('/rate-limits/events', { origin: 'http://evil.example' })).toBe(403);
  });

  it('refuses bodies of more than 8 kB', async () => {
    const app = await start(withConsole());
    const large = { action: 'look-up', policy: 0, identity: '1', padding: 'x'.repeat(9000) };
    expect((await post(app, large)).status).toBe(413);
    expect((await post(app, { action: 'look-up', policy: 0, identity: 'x'.repeat(5000) })).status).toBe(400);
  });

  it.each([
    '../package.json',
    '..%2fpackage.json',
    '%2e%2e/%2e%2e/etc/passwd',
    'page.js/../../package.json',
    'page.js%00',
    '..%5c..%5cpackage.json',
  ])('has no file at %s', async (path) => {
    const app = await start(withConsole());
    const { status, text } = await send(app, 'GET', `/rate-limits/${path}`, { host: 'localhost' });
    expect(text).not.toMatch(/"name": ?"nestjs-limits"|root:/);
    expect([400, 404]).toContain(status);
  });

  it.each([
    ['Forwarded', 'for=203.0.113.7'],
    ['X-Forwarded-For', '203.0.113.7'],
    ['X-Forwarded-Host', 'localhost'],
    ['X-Forwarded-Proto', 'https'],
    ['Via', '1.1 proxy'],
  ])('without guards refuses requests of a proxy, by %s', async (name, value) => {
    const app = await start(withConsole(), { trustProxy: true });
    const { status, text } = await send(app, 'GET', '/rate-limits', { host: 'localhost', [name]: value });
    expect([status, text]).toEqual([
      403,
      expect.stringContaining(`the request has passed a proxy (${name.toLowerCase()})`),
    ]);
  });

  it.each([
    ['localhost', 200],
    ['localhost:3000', 200],
    ['127.0.0.1:3000', 200],
    ['[::1]:3000', 200],
    ['rebound.example:3000', 403],
    ['localhost.evil.example', 403],
    ['127.0.0.1.evil.example', 403],
  ])('without guards is served under names of this machine only: under %s with %i', async (host, status) => {
    const app = await start(withConsole());
    expect((await send(app, 'GET', '/rate-limits', { host })).status).toBe(status);
  });

  it('ends its streams when the application closes', async () => {
    const app = await start(withConsole());
    const response = await fetch(`http://127.0.0.1:${portOf(app)}/rate-limits/events`);
    const text = response.text();
    await app.close();
    expect(await text).toMatch(/^event: snapshot\n/);
  });

  it('ends streams that are opened while the application closes', async () => {
    let text = '';
    const late = {
      async beforeApplicationShutdown() {
        text = await (await fetch(`http://127.0.0.1:${portOf(app)}/rate-limits/events`)).text();
      },
    };
    const app = await start({ ...withConsole(), providers: [{ provide: 'late', useValue: late }] });
    await app.close();
    expect(text).toMatch(/^event: snapshot\n/);
  });

  it('answers HEAD without opening a stream', async () => {
    const app = await start(withConsole());
    for (const path of ['', '/events', '/policies/0/events']) {
      const socket = connect(portOf(app), '127.0.0.1');
      socket.write(`HEAD /rate-limits${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
      let text = '';
      for await (const piece of socket.setEncoding('utf8')) text += String(piece);
      expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    }
  });

  it('serves further streams after 50 clients have left before their guard admitted them', async () => {
    const gate = new Gate();
    let isHeld = true;
    const guard = {
      async canActivate() {
        if (isHeld) await gate.pass();
        return true;
      },
    };
    const app = await start(withConsole({ guards: [guard] }));
    let closed = 0;
    (app.nest.getHttpServer() as Server).on('connection', (socket: Socket) =>
      socket.once('close', () => closed++),
    );
    const sockets = Array.from({ length: 50 }, () => connect(portOf(app), '127.0.0.1'));
    for (const socket of sockets) socket.write('GET /rate-limits/events HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await until(() => gate.waiting === 50);
    for (const socket of sockets) socket.resetAndDestroy();
    await until(() => closed === 50);
    gate.open();
    await until(() => gate.waiting === 0);
    isHeld = false;
    await firstEvent<SnapshotMessage>(app, '/rate-limits/events');
  });
});
