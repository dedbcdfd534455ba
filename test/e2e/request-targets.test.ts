import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Controller, Get, type ExecutionContext, type INestApplication, type Type } from '@nestjs/common';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { applyRateLimits, MemoryStorage, RateLimiterService, RateLimitModule } from 'nestjs-limits';
import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import { platforms, RecordingLogger, type Platform } from '../support/http-app.js';
import { rawStatus } from '../support/raw-request.js';

/** Rules for narrow paths, all of which are tried. */
const PATHS = { home: '/', me: '/users/me', secret: '/files/secret', admin: '/admin/**' };

const AMOUNT = 9;

function controllerFor(platform: Platform): Type {
  @Controller()
  class TargetController {
    @Get()
    home() {
      return '';
    }

    @Get('admin')
    admin() {
      return '';
    }

    @Get('users/:id')
    user() {
      return '';
    }

    @Get(platform === 'express' ? 'files/*path' : 'files/*')
    file() {
      return '';
    }
  }
  return TargetController;
}

/** Every target has its own client. */
const clientOf = (target: string): string => encodeURIComponent(target);

const key = (context: ExecutionContext): string =>
  String(context.switchToHttp().getRequest<{ headers: Record<string, unknown> }>().headers['x-client']);

/** Applies the rules only in the guard, or only in the middleware. */
type Place = 'guard' | 'middleware';

async function create(
  adapter: ExpressAdapter | FastifyAdapter,
  place: Place,
  paths: Readonly<Record<string, string>> = PATHS,
): Promise<INestApplication> {
  const rules = Object.entries(paths).map(([id, path]) => ({
    id,
    path,
    limits: `${AMOUNT}/minute`,
    continue: true,
    key,
  }));
  const module = await Test.createTestingModule({
    imports: [RateLimitModule.forRoot({ storage: new MemoryStorage(), rules, guard: place === 'guard' })],
    controllers: [controllerFor(adapter instanceof FastifyAdapter ? 'fastify' : 'express')],
  })
    .setLogger(new RecordingLogger())
    .compile();
  const app = module.createNestApplication(adapter);
  if (place === 'middleware') applyRateLimits(app);
  return app;
}

/** Sends a target once. Returns how often each rule counted it: `me`, or `home me`. */
async function counted(
  app: INestApplication,
  target: string,
  paths: Readonly<Record<string, string>> = PATHS,
  url?: string,
): Promise<string> {
  await rawStatus(url ?? (await app.getUrl()), target, 'GET', { 'x-client': clientOf(target) });
  const service = app.get(RateLimiterService);
  const counts: string[] = [];
  for (const policy of Object.keys(paths)) {
    const { remaining } = await service.peek({ policy }, clientOf(target));
    counts.push(...Array<string>(AMOUNT - remaining).fill(policy));
  }
  return counts.join(' ');
}

type Row = readonly [
  target: string,
  expressGuard: string,
  expressMiddleware: string,
  fastifyGuard: string,
  fastifyMiddleware: string,
];

/**
 * The rules that count each target. A guard counts routed requests, and the middleware every path
 * that a router may see.
 */
const TARGETS: readonly Row[] = [
  ['/users/me', 'me', 'me', 'me', 'me'],
  ['/users/you', '', '', '', ''],
  ['/USERS/ME', 'me', 'me', '', 'me'],
  ['/users/me/', 'me', 'me', '', 'me'],
  ['/users/me//', '', 'me', '', 'me'],
  ['//users/me', '', 'me', '', 'me'],
  ['/users//me', '', 'me', '', 'me'],
  ['/users/', '', '', '', ''],
  ['/users', '', '', '', ''],
  ['/users/%6de', 'me', 'me', 'me', 'me'],
  ['/users/%6D%65', 'me', 'me', 'me', 'me'],
  ['/%75sers/me', '', 'me', 'me', 'me'],
  ['/users%2Fme', '', 'me', '', 'me'],
  ['/users/me%2F', '', 'me', '', 'me'],
  ['/users/me%20', '', '', '', ''],
  ['/users/%6d%65?x=/users/you', 'me', 'me', 'me', 'me'],
  ['/users/me?a=b', 'me', 'me', 'me', 'me'],
  ['/users/me/?', 'me', 'me', '', 'me'],
  ['/users/me#a', 'me', 'me', 'me', 'me'],
  ['/users/you#/users/me', '', '', '', ''],
  ['/users\\me', '', 'me', '', 'me'],
  ['/users\\me#a', 'me', 'me', '', 'me'],
  ['/users/me;a=b', '', '', '', 'me'],
  ['/users;a/me', '', '', '', ''],
  ['/users/me%3Bx', '', '', '', ''],
  ['/users/me%3Fx', '', '', '', ''],
  ['/users/me%00', '', '', '', ''],
  ['/users/.', '', '', '', ''],
  ['/users/./me', '', 'me', '', 'me'],
  ['/./users/me', '', 'me', '', 'me'],
  ['/x/../users/me', '', 'me', '', 'me'],
  ['/users/x/../me', '', 'me', '', 'me'],
  ['/users/..%2fme', '', '', '', ''],
  ['/users/%2e%2e/me', '', '', '', ''],
  ['/users/..%2f..%2fadmin', '', 'admin', '', 'admin'],
  ['/users/%256de', '', '', '', ''],
  ['/users/%ff', '', '', '', ''],
  ['/%ff/../users/me', '', 'me', '', ''],
  ['/users/%', '', '', '', ''],
  ['/%zz/users/me', '', '', '', ''],
  ['/users/m%C3%A9', '', '', '', ''],
  ['/files/a', '', '', '', ''],
  ['/files/secret', 'secret', 'secret', 'secret', 'secret'],
  ['/files/SECRET', 'secret', 'secret', 'secret', 'secret'],
  ['/files/%73ecret', 'secret', 'secret', 'secret', 'secret'],
  ['/files/./secret', 'secret', 'secret', 'secret', 'secret'],
  ['/files/a/../secret', 'secret', 'secret', 'secret', 'secret'],
  ['/files/a/..%2fsecret', 'secret', 'secret', 'secret', 'secret'],
  ['/files/a%2f..%2fsecret', 'secret', 'secret', 'secret', 'secret'],
  ['/files/a%2F%2e%2e%2Fsecret', 'secret', 'secret', 'secret', 'secret'],
  ['/files/..%2fadmin', 'admin', 'admin', 'admin', 'admin'],
  ['/files/..%5cadmin', 'admin', 'admin', 'admin', 'admin'],
  ['/files/..\\admin', 'admin', 'admin', 'admin', 'admin'],
  ['/files/../admin', 'admin', 'admin', 'admin', 'admin'],
  ['/files/%2e%2e/admin', 'admin', 'admin', 'admin', 'admin'],
  ['/files/..%252fadmin', 'admin', 'admin', 'admin', 'admin'],
  ['/files/../../../admin/x', 'admin', 'admin', 'admin', 'admin'],
  ['/files/..%2fusers%2fme', 'me', 'me', 'me', 'me'],
  ['/files//secret', 'secret', 'secret', 'secret', 'secret'],
  ['/files/secret/', 'secret', 'secret', 'secret', 'secret'],
  ['/files/secret%2f', 'secret', 'secret', 'secret', 'secret'],
  ['/files/%ff/../secret', '', 'secret', '', ''],
  ['/admin', 'admin', 'admin', 'admin', 'admin'],
  ['/admin/x', '', 'admin', '', 'admin'],
  ['/ADMIN', 'admin', 'admin', '', 'admin'],
  ['/admin;x', '', '', '', 'admin'],
  ['/admin%2fx', '', 'admin', '', 'admin'],
  ['/%61dmin', '', 'admin', 'admin', 'admin'],
  ['http://h/users/me', 'me', 'me', 'me', 'me'],
  ['http://h/users/%6de/', 'me', 'me', '', 'me'],
  ['http://h//users/me', '', 'me', '', 'me'],
  ['http://h?x/users/me', 'home', 'home me', '', ''],
  ['http://h#x/users/me', '', '', '', ''],
  ['http://h;x/users/me', '', 'me', 'me', 'me'],
  ['http://u@h:80/users/me', 'me', 'me', 'me', 'me'],
  ['HTTP://h/users/me', 'me', 'me', 'me', 'me'],
  ['https://h/users/me', 'me', 'me', 'me', 'me'],
  ['ftp://h/users/me', 'me', 'me', '', 'me'],
  ['http:///users/me', 'me', 'me', '', ''],
  ['http://h\\users\\me', '', '', '', ''],
  ['http://h', 'home', 'home', 'home', 'home'],
  ['http://h?/admin', 'home', 'home admin', '', ''],
  ['http://h/x?/users/me', '', '', '', ''],
  ['http://h/files/..%2fadmin', 'admin', 'admin', 'admin', 'admin'],
  ['http://[::1]/users/me', 'me', 'me', 'me', 'me'],
  ['http:////users/me', '', 'me', '', ''],
  ['*', '', '', '', ''],
  ['*/users/me', '', '', '', ''],
];

describe.each(
  platforms.flatMap((platform) =>
    (['guard', 'middleware'] as const).map((place) => [platform, place] as const),
  ),
)('Rules by path, on %s in the %s', (platform, place) => {
  const column = (platform === 'express' ? 1 : 3) + (place === 'guard' ? 0 : 1);
  let app: INestApplication;
  beforeAll(async () => {
    app = await create(platform === 'express' ? new ExpressAdapter() : new FastifyAdapter(), place);
    await app.listen(0, '127.0.0.1');
  });
  afterAll(() => app.close());

  it.each(TARGETS.map((row) => [row[0], row[column] ?? '']))('count %s by "%s"', async (target, rules) => {
    expect(await counted(app, target)).toBe(rules);
  });
});

describe.each(['guard', 'middleware'] as const)(
  'Rules by path in the %s, where Fastify ignores spelling',
  (place) => {
    let app: INestApplication;
    beforeAll(async () => {
      const routerOptions = {
        caseSensitive: false,
        ignoreTrailingSlash: true,
        ignoreDuplicateSlashes: true,
        useSemicolonDelimiter: true,
      };
      app = await create(new FastifyAdapter({ routerOptions }), place);
      await app.listen(0, '127.0.0.1');
    });
    afterAll(() => app.close());

    it.each([
      '/users/me',
      '/USERS/Me',
      '/users/me/',
      '//users///me//',
      '/users/me;a=b',
      '/users/me;a/b?c',
      '/U%53ERS/%4de/;x',
      'http://h//Users//me/',
    ])('count %s as the path that it is routed to', async (target) => {
      expect(await counted(app, target)).toBe('me');
    });

    it.each(['/users/you', '/users/you;/users/me', '/users/me%3Ba'])(
      'count %s as another path',
      async (target) => {
        expect(await counted(app, target)).toBe('');
      },
    );
  },
);

describe.each(['guard', 'middleware'] as const)(
  'Rules by path in the %s, where Fastify rewrites URLs',
  (place) => {
    const paths = { me: '/users/me', before: '/api/**' };
    let app: INestApplication;
    beforeAll(async () => {
      const rewriteUrl = ({ url = '' }: { url?: string | undefined }): string => url.replace(/^\/api\//, '/');
      app = await create(new FastifyAdapter({ rewriteUrl }), place, paths);
      await app.listen(0, '127.0.0.1');
    });
    afterAll(() => app.close());

    it.each(['/api/users/me', '/users/me', '/api/users/%6de?a=/api/x'])(
      'count %s by the rewritten path',
      async (target) => {
        expect(await counted(app, target, paths)).toBe('me');
      },
    );
  },
);

describe('Rules by path, where an application is mounted within another', () => {
  const paths = { me: '/shop/users/me', inner: '/users/me' };
  let app: INestApplication;
  let server: Server;
  beforeAll(async () => {
    const inner = new ExpressAdapter();
    app = await create(inner, 'guard', paths);
    await app.init();
    const outer = new ExpressAdapter();
    outer.use('/shop', inner.getInstance<RequestListener>());
    server = createServer(outer.getInstance<RequestListener>()).listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  afterAll(async () => {
    server.close();
    await app.close();
  });

  it.each(['/shop/users/me', '/SHOP/users/%6de/', 'http://h/shop/users/me'])(
    'count %s by its full path',
    async (target) => {
      const address = server.address();
      const port = typeof address === 'object' ? address?.port : undefined;
      expect(await counted(app, target, paths, `http://127.0.0.1:${port}`)).toBe('me');
    },
  );
});
