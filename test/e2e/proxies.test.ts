import { once } from 'node:events';
import { mkdtemp } from 'node:fs/promises';
import { createServer, request, type IncomingMessage, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import {
  Controller,
  Get,
  Module,
  Post,
  type ExecutionContext,
  type MiddlewareConsumer,
} from '@nestjs/common';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { RateLimit, RateLimitMiddleware, type RateLimitModuleOptions } from 'nestjs-limits';
import { describeOverHttp, limited } from '../support/http-app.js';

@Controller()
class PlainController {
  @Get()
  @RateLimit('2/minute')
  get() {
    return '';
  }

  @Post('free')
  free() {
    return '';
  }
}

const UNTRUSTED =
  'A request has the header X-Forwarded-For, which the adapter does not trust. Behind a proxy, all clients share the address ' +
  'of that proxy: configure the proxies that the adapter trusts, see docs/behind-a-proxy.md. If there is no proxy, ignore this.';

const from = (address: string): Record<string, string> => ({ 'x-forwarded-for': address });

/** An application whose only client is behind a trusted proxy. */
const behindProxy = { trustProxy: true };

describeOverHttp('X-Forwarded-For', (start, platform) => {
  it('gives no client a new count if no proxy is trusted, and causes one warning', async () => {
    const app = await start(limited([PlainController]));
    const statuses: number[] = [];
    for (let last = 1; last <= 20; last++)
      statuses.push((await app.get('/', from(`203.0.113.${last}`))).status);
    expect(statuses).toEqual([200, 200, ...Array(18).fill(429)]);
    expect(app.log.warnings).toEqual([UNTRUSTED]);
  });

  it('causes no warning without proxies', async () => {
    const app = await start(limited([PlainController]));
    expect(await app.statuses(2, '/')).toEqual([200, 200]);
    expect(app.log.warnings).toEqual([]);
  });

  it('gives no client a new count if one proxy is trusted: values sent by a client come before it', async () => {
    const app = await start(limited([PlainController]), behindProxy);
    const statuses: number[] = [];
    for (let last = 1; last <= 5; last++)
      statuses.push((await app.get('/', from(`198.51.100.${last}, 203.0.113.7`))).status);
    expect(statuses).toEqual([200, 200, 429, 429, 429]);
    expect(app.log.warnings).toEqual([]);
  });

  it('that is trusted without bounds on Express causes one warning', async () => {
    if (platform !== 'express') return;
    const app = await start(limited([PlainController]), {
      configure: (nest) => (nest as NestExpressApplication).set('trust proxy', true),
    });
    expect(await app.statuses(2, '/', from('203.0.113.7'))).toEqual([200, 200]);
    expect(app.log.warnings).toEqual([
      'The adapter trusts every proxy ("trust proxy" is true), so that clients choose their address by a header. Set it to the ' +
        'number of your proxies, or to their addresses.',
    ]);
  });

  it('causes no warning if the application resolves the address itself', async () => {
    const app = await start(limited([PlainController], { clientIp: () => '203.0.113.7' }));
    await app.get('/', from('203.0.113.8'));
    expect(app.log.warnings).toEqual([]);
  });

  it.each([
    [false, [UNTRUSTED], [404, 404, 429, 429]],
    [true, [], [404, 404, 404, 404]],
  ])('is the same in the middleware: trusted %s', async (trustProxy, warnings, statuses) => {
    @Module(limited([PlainController], { rules: [{ id: 'all', path: '/**', limits: '2/minute' }] }))
    class MiddlewareModule {
      configure(consumer: MiddlewareConsumer): void {
        consumer.apply(RateLimitMiddleware).forRoutes('*path');
      }
    }
    const app = await start({ imports: [MiddlewareModule] }, { trustProxy });
    const answered: number[] = [];
    for (let last = 1; last <= 4; last++)
      answered.push((await app.get('/nothing', from(`203.0.113.${last}`))).status);
    expect(answered).toEqual(statuses);
    expect(app.log.warnings).toEqual(warnings);
  });
});

describeOverHttp('The address that the application resolves', (start) => {
  const clientIp = (context: ExecutionContext): string | undefined =>
    context.switchToHttp().getRequest<{ headers: Record<string, string | undefined> }>().headers[
      'cf-connecting-ip'
    ];

  const client = (address: string): Record<string, string> => ({ 'cf-connecting-ip': address });

  it.each<[string, RateLimitModuleOptions['clientIp']]>([
    ['at once', clientIp],
    ['later', async (context) => Promise.resolve(clientIp(context))],
  ])('is used by limits, returned %s', async (_when, find) => {
    const app = await start(limited([PlainController], find ? { clientIp: find } : {}));
    expect(await app.statuses(3, '/', client('203.0.113.1'))).toEqual([200, 200, 429]);
    expect(await app.statuses(3, '/', client('203.0.113.2'))).toEqual([200, 200, 429]);
    expect(await app.statuses(1, '/', client('2001:db8:1:2::1'))).toEqual([200]);
    expect(await app.statuses(2, '/', client('2001:db8:1:2::2'))).toEqual([200, 429]);
  });

  it.each<[unknown, unknown[]]>([
    [undefined, []],
    [null, []],
    ['', []],
    ['unknown', ['the string "unknown"']],
    ['client-7', ['the string "client-7"']],
  ])('is the address of the adapter if the function returns none: %j', async (found, descriptions) => {
    const clientIp = async (): Promise<string> => Promise.resolve(found as string);
    const app = await start(limited([PlainController], { clientIp }), behindProxy);
    expect(await app.statuses(3, '/', from('203.0.113.1'))).toEqual([200, 200, 429]);
    expect(await app.statuses(1, '/', from('203.0.113.2'))).toEqual([200]);
    expect(app.log.warnings).toEqual(
      descriptions.map(
        (description) =>
          `RateLimitModule: the function "clientIp" must return an address, so the adapter's is used; got ${String(description)}.`,
      ),
    );
  });

  it.each<[string, () => never, string]>([
    [
      'throws',
      () => {
        throw new Error('no header');
      },
      'failed: no header',
    ],
    ['answers a number', () => 7 as never, 'must return a string; got the number 7.'],
    [
      'answers an object later',
      () => Promise.resolve({}) as never,
      'must return a string; got an object (Object).',
    ],
  ])(
    'by a function that %s causes 500 and a log line, with lists and without',
    async (_what, find, message) => {
      for (const lists of [{}, { allow: ['10.0.0.0/8'] }]) {
        const app = await start(limited([PlainController], { clientIp: find, ...lists }));
        expect((await app.get('/')).status).toBe(500);
        expect(app.log.errors.map((error) => (error as Error).message)).toEqual([
          `RateLimitModule: the function "clientIp" ${message}`,
        ]);
      }
    },
  );
});

describeOverHttp('An IPv6 prefix', (start) => {
  it.each([
    [48, '2001:db8:1:ffff::1', 429],
    [64, '2001:db8:1:ffff::1', 200],
    [64, '2001:db8:1:2::ffff', 429],
    [128, '2001:db8:1:2::ffff', 200],
  ])('of %i bits decides whether %s is the same client', async (ipv6Prefix, other, status) => {
    const app = await start(limited([PlainController], { ipv6Prefix }), behindProxy);
    expect(await app.statuses(2, '/', from('2001:db8:1:2::1'))).toEqual([200, 200]);
    expect((await app.get('/', from(other))).status).toBe(status);
  });
});

describeOverHttp('Lists of addresses', (start) => {
  const lists = { allow: ['10.0.0.0/8', '2001:db8::/32'], deny: ['10.6.6.0/24', '203.0.113.66'] };

  it('do not count allowed addresses', async () => {
    const app = await start(limited([PlainController], lists), behindProxy);
    for (const address of ['10.1.2.3', '::ffff:10.1.2.3', '2001:db8::1', '10.1.2.3:4711']) {
      for (let times = 0; times < 4; times++) {
        const reply = await app.get('/', from(address));
        expect([reply.status, reply.fields]).toEqual([200, {}]);
      }
    }
    expect(await app.statuses(3, '/', from('203.0.113.7'))).toEqual([200, 200, 429]);
  });

  it('refuse denied addresses with 403, on every route, allowed or not', async () => {
    const app = await start(limited([PlainController], lists), behindProxy);
    for (const address of ['203.0.113.66', '10.6.6.6', '::ffff:10.6.6.6']) {
      const refused = await app.get('/', from(address));
      expect(refused.status).toBe(403);
      expect(refused.body).toEqual({ statusCode: 403, message: 'Forbidden' });
      expect(refused.fields).toEqual({});
      expect((await app.post('/free', from(address))).status).toBe(403);
    }
    expect((await app.post('/free', from('203.0.113.7'))).status).toBe(201);
  });

  it('use the trusted address, and no other header', async () => {
    const app = await start(limited([PlainController], { ...lists, deny: ['127.0.0.0/8'] }));
    expect((await app.get('/', from('10.1.2.3'))).status).toBe(403);
    const trusting = await start(limited([PlainController], lists), behindProxy);
    expect(await trusting.statuses(3, '/', from('10.1.2.3, 203.0.113.7'))).toEqual([200, 200, 429]);
  });

  it('use the address that the application resolves, once per request', async () => {
    let calls = 0;
    const clientIp = async (): Promise<string> => {
      calls++;
      return Promise.resolve('203.0.113.66');
    };
    const app = await start(limited([PlainController], { ...lists, clientIp }));
    expect((await app.get('/')).status).toBe(403);
    expect(calls).toBe(1);
    const other = await start(limited([PlainController], { allow: ['10.0.0.0/8'], clientIp }));
    expect(await other.statuses(3, '/')).toEqual([200, 200, 429]);
    expect(calls).toBe(4);
  });

  it('also apply in the middleware', async () => {
    @Module(limited([PlainController], { ...lists, rules: [{ id: 'all', path: '/**', limits: '1/minute' }] }))
    class MiddlewareModule {
      configure(consumer: MiddlewareConsumer): void {
        consumer.apply(RateLimitMiddleware).forRoutes('*path');
      }
    }
    const app = await start({ imports: [MiddlewareModule] }, behindProxy);
    expect(await app.statuses(2, '/nothing', from('10.1.2.3'))).toEqual([404, 404]);
    expect(await app.statuses(2, '/nothing', from('203.0.113.66'))).toEqual([403, 403]);
    expect(await app.statuses(2, '/nothing', from('203.0.113.7'))).toEqual([404, 429]);
  });
});

describeOverHttp('A list of denied addresses', (start) => {
  const deny = ['203.0.113.0/24'];
  const refused = (type: string): string =>
    `A request by "${type}" has no client address: with a "deny" list, all such requests are refused. Give a key or "clientIp"; ` +
    "behind a proxy on a unix socket, set the adapter's trust proxy.";

  it.each(['64:ff9b::203.0.113.9', '2002:cb00:7109::1', '64:ff9b:1::cb00:7109', '[::ffff:203.0.113.9]:80'])(
    'refuses an address in every form: %s',
    async (address) => {
      const app = await start(limited([PlainController], { deny }), behindProxy);
      expect((await app.get('/', from(address))).status).toBe(403);
    },
  );

  it.each(['unknown', '_hidden', '203.0.113', 'x'.repeat(300)])(
    'refuses a forwarded value that is not an address: %.20s',
    async (address) => {
      const app = await start(limited([PlainController], { deny }), behindProxy);
      expect((await app.get('/', from(address))).status).toBe(403);
      expect((await app.post('/free', from(address))).status).toBe(403);
      expect((await app.get('/', from('198.51.100.1'))).status).toBe(200);
      expect(app.log.warnings).toEqual([refused('http')]);
    },
  );

  it('falls back to the address of the adapter, and refuses that', async () => {
    const clientIp = (): undefined => undefined;
    const app = await start(limited([PlainController], { deny, clientIp }), behindProxy);
    expect((await app.get('/', from('203.0.113.9'))).status).toBe(403);
    expect((await app.get('/', from('198.51.100.1'))).status).toBe(200);
    expect((await app.get('/', from('unknown'))).status).toBe(403);
  });

  it('refuses all clients on a unix socket without trust proxy, and logs the fix', async () => {
    const path = join(await mkdtemp(join(tmpdir(), 'nestjs-limits-')), 'socket');
    const app = await start(limited([PlainController], { deny: ['10.0.0.0/8'] }));
    const server = createServer((incoming, response) => {
      (app.nest.getHttpServer() as Server).emit('request', incoming, response);
    });
    await once(server.listen(path), 'listening');
    const statusOf = async (): Promise<number | undefined> => {
      const [response] = (await once(request({ socketPath: path, path: '/' }).end(), 'response')) as [
        IncomingMessage,
      ];
      response.resume();
      return response.statusCode;
    };
    expect([await statusOf(), await statusOf()]).toEqual([403, 403]);
    expect(app.log.warnings).toEqual([refused('http')]);
    server.close();
  });

  it('is needed for that: a list of allowed addresses still counts an unknown one', async () => {
    const app = await start(limited([PlainController], { allow: ['0.0.0.0/0', '::/0'] }), behindProxy);
    expect(await app.statuses(3, '/', from('unknown'))).toEqual([200, 200, 429]);
  });
});
