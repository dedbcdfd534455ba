import { expect, it } from '@jest/globals';
import {
  Body,
  Catch,
  Controller,
  Get,
  HttpException,
  Post,
  type ArgumentsHost,
  type ExceptionFilter,
  type ExecutionContext,
  type INestApplication,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { applyRateLimits, ConfigurationError, type RateLimitModuleOptions } from 'nestjs-limits';
import { describeOverHttp, limited, type HttpApp, type StartHttpApp } from '../support/http-app.js';

@Controller()
class NotesController {
  @Get()
  home() {
    return '';
  }

  @Get('notes')
  list() {
    return '';
  }

  @Post('notes')
  add(@Body() note: object) {
    return note;
  }
}

const rules = [{ id: 'all', path: '/**', limits: '2/minute' }];

/** Starts the application with the rules applied as documented. */
const startLimited = (
  start: StartHttpApp,
  options: RateLimitModuleOptions = { rules },
  configure: (app: INestApplication) => void = () => undefined,
): Promise<HttpApp> =>
  start(limited([NotesController], options), {
    configure: (app) => {
      applyRateLimits(app);
      configure(app);
    },
  });

async function post(app: HttpApp, path: string, body: string): Promise<number> {
  const response = await fetch((await app.nest.getUrl()) + path, {
    method: 'POST',
    body,
    headers: { 'content-type': 'application/json' },
  });
  return response.status;
}

describeOverHttp('Limits applied to an application', (start, platform) => {
  it.each(['/', '/notes', '/nothing', '/nothing/at/all', '/?a=b'])('count GET %s', async (path) => {
    const app = await startLimited(start);
    const status = path.startsWith('/nothing') ? 404 : 200;
    expect(await app.statuses(3, path)).toEqual([status, status, 429]);
  });

  it.each(['/', '/notes', '/api', '/api/', '/api/notes', '/api/nothing', '/apis'])(
    'count GET %s with the global prefix "api"',
    async (path) => {
      const app = await startLimited(start, { rules }, (nest) => nest.setGlobalPrefix('api'));
      const status = ['/api', '/api/', '/api/notes'].includes(path) ? 200 : 404;
      const found = platform === 'fastify' && path === '/api/' ? expect.any(Number) : status;
      expect(await app.statuses(3, path)).toEqual([found, found, 429]);
      expect((await app.post('/elsewhere')).status).toBe(429);
    },
  );

  it('respond like the guard, also outside the global prefix', async () => {
    const app = await startLimited(start, { rules }, (nest) => nest.setGlobalPrefix('api'));
    await app.statuses(2, '/nothing');
    for (const path of ['/nothing', '/api/notes']) {
      const refused = await app.get(path);
      expect(refused.status).toBe(429);
      expect(refused.fields).toEqual({
        'ratelimit-policy': '"all";q=2;w=60',
        ratelimit: '"all";r=0;t=60',
        'retry-after': '60',
      });
      expect(refused.body).toMatchObject({ statusCode: 429, limit: { name: 'all' } });
      expect(refused.headers.get('content-type')).toBe('application/json; charset=utf-8');
    }
  });

  it('respond with problem details if the module has that option', async () => {
    const app = await startLimited(start, { rules, errorFormat: 'problem' });
    await app.statuses(2, '/nothing');
    const refused = await app.get('/nothing');
    expect(refused.headers.get('content-type')).toMatch(/^application\/problem\+json(; charset=utf-8)?$/);
    expect(refused.body).toMatchObject({ status: 429 });
  });

  it('are handled by a global filter of the application', async () => {
    @Catch(HttpException)
    class TeapotFilter implements ExceptionFilter {
      constructor(private readonly host: HttpAdapterHost) {}
      catch(_exception: HttpException, host: ArgumentsHost) {
        this.host.httpAdapter.reply(host.switchToHttp().getResponse(), { teapot: true }, 418);
      }
    }
    const app = await startLimited(start, { rules }, (nest) => {
      nest.useGlobalFilters(new TeapotFilter(nest.get(HttpAdapterHost)));
    });
    await app.statuses(2, '/');
    const refused = await app.get('/');
    expect([refused.status, refused.body]).toEqual([418, { teapot: true }]);
  });

  it('count requests whose body cannot be parsed', async () => {
    const app = await startLimited(start);
    expect(await post(app, '/notes', '{')).toBe(400);
    expect(await post(app, '/notes', '{')).toBe(400);
    expect(await post(app, '/notes', '{')).toBe(429);
  });

  it('count requests whose body is too large', async () => {
    const app = await startLimited(start);
    const body = JSON.stringify({ text: 'a'.repeat(2_000_000) });
    expect(await post(app, '/notes', body)).toBe(413);
    expect(await post(app, '/notes', body)).toBe(413);
    expect(await post(app, '/notes', '{}')).toBe(429);
  });

  it('do not read the body before the parser', async () => {
    const app = await startLimited(start);
    expect(await post(app, '/notes', '{"a":1}')).toBe(201);
  });

  it('count a request once, also with the guard and another middleware', async () => {
    const app = await startLimited(
      start,
      { rules: [{ id: 'all', path: '/**', limits: '9/minute' }] },
      (nest) => applyRateLimits(nest),
    );
    expect((await app.get('/notes')).remaining).toBe('"all";r=8');
    expect((await app.get('/notes')).remaining).toBe('"all";r=7');
  });

  it('wait for asynchronous decisions, and pass errors on', async () => {
    const key = async (): Promise<string> => Promise.resolve('everybody');
    const app = await startLimited(start, { rules: [{ id: 'all', path: '/**', limits: '1/minute', key }] });
    expect(await app.statuses(2, '/nothing')).toEqual([404, 429]);
    const failing = async (): Promise<string> => Promise.reject(new Error('no key'));
    const broken = await startLimited(start, {
      rules: [{ id: 'all', path: '/**', limits: '1/minute', key: failing }],
    });
    expect((await broken.get('/nothing')).status).toBe(500);
  });

  it('allow a key function to read the values that middleware before them has set', async () => {
    const key = (context: ExecutionContext): string =>
      context.switchToHttp().getRequest<{ tenant: string }>().tenant;
    const app = await start(
      limited([NotesController], { rules: [{ id: 'all', path: '/**', limits: '1/minute', key }] }),
      {
        configure: (nest) => {
          nest.use((request: { tenant?: string; url: string }, _response: unknown, next: () => void) => {
            request.tenant = request.url.split('=')[1] ?? '';
            next();
          });
          applyRateLimits(nest);
        },
      },
    );
    expect((await app.get('/notes?tenant=a')).status).toBe(200);
    expect((await app.get('/notes?tenant=b')).status).toBe(200);
    expect((await app.get('/notes?tenant=a')).status).toBe(429);
  });

  it('throw once the application is initialized', async () => {
    const app = await start(limited([NotesController], { rules }));
    const call = (): void => applyRateLimits(app.nest);
    expect(call).toThrow(ConfigurationError);
    expect(call).toThrow(
      'applyRateLimits was called after the application was initialized: its routes come first then. ' +
        'Call it before app.init() and app.listen().',
    );
  });
});

it('Limits applied to an application require the module', async () => {
  const app = (await Test.createTestingModule({}).compile()).createNestApplication();
  expect(() => applyRateLimits(app)).toThrow(
    'applyRateLimits needs RateLimitModule. Import it into the root module: RateLimitModule.forRoot({ rules: [...] }).',
  );
  await app.close();
});
