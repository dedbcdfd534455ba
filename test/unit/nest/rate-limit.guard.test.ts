import { afterEach, describe, expect, it } from '@jest/globals';
import { Controller, Get, type ExecutionContext, type INestApplication, type Type } from '@nestjs/common';
import { ExecutionContextHost } from '@nestjs/core/helpers/execution-context-host.js';
import { Test } from '@nestjs/testing';
import {
  RateLimit,
  RateLimitExceededException,
  RateLimitGuard,
  RateLimiterService,
  ResolverError,
  type RateLimitModuleOptions,
} from 'nestjs-limits';
import { limited, RecordingLogger } from '../../support/http-app.js';
import { MapCasServer, MapCasStorage } from '../../support/map-cas.storage.js';

@Controller()
class ProbeController {
  @Get()
  @RateLimit('2/minute')
  get() {
    return '';
  }

  @Get('open')
  open() {
    return '';
  }

  @Get('failing')
  @RateLimit('2/minute', {
    key: () => {
      throw new Error('no user');
    },
  })
  failing() {
    return '';
  }

  @Get('later')
  @RateLimit('2/minute', { key: async () => Promise.resolve('ann') })
  later() {
    return '';
  }
}

/** The part of Express's response that receives the header fields. */
class Response {
  readonly headersSent = false;
  readonly fields = new Map<string, string>();

  set(name: string, value: string): void {
    this.fields.set(name, value);
  }
}

const running: INestApplication[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map((app) => app.close()));
});

async function compile(
  options: RateLimitModuleOptions,
): Promise<{ app: INestApplication; guard: RateLimitGuard; log: RecordingLogger }> {
  const log = new RecordingLogger();
  const builder = Test.createTestingModule(limited([ProbeController], options)).setLogger(log);
  const app = await (await builder.compile()).createNestApplication().init();
  running.push(app);
  return { app, guard: app.get(RateLimitGuard), log };
}

function contextOf(
  handler: keyof ProbeController,
  request: object = { ip: '203.0.113.7' },
  response = new Response(),
  controller: Type = ProbeController,
): ExecutionContext {
  return new ExecutionContextHost([request, response], controller, ProbeController.prototype[handler]);
}

describe('The guard', () => {
  it('is synchronous in memory, and refuses by throwing', async () => {
    const { guard } = await compile({});
    const response = new Response();
    expect(guard.canActivate(contextOf('get', undefined, response))).toBe(true);
    expect([...response.fields]).toEqual([
      ['RateLimit-Policy', '"default";q=2;w=60'],
      ['RateLimit', '"default";r=1;t=60'],
    ]);
    expect(guard.canActivate(contextOf('get'))).toBe(true);
    expect(() => guard.canActivate(contextOf('get'))).toThrow(RateLimitExceededException);
    expect(guard.canActivate(contextOf('get', { ip: '203.0.113.8' }))).toBe(true);
  });

  it('is synchronous with several limits and synchronous functions', async () => {
    const { guard } = await compile({
      limits: [
        { name: 'all', limits: '9/minute; 99/hour', skip: () => false, cost: () => 2, key: () => 'all' },
        { name: 'ip', limits: '9/minute' },
      ],
      skip: () => false,
    });
    expect(guard.canActivate(contextOf('get'))).toBe(true);
  });

  it('is asynchronous if a function is', async () => {
    const { guard } = await compile({});
    const answer = guard.canActivate(contextOf('later'));
    expect(answer).toBeInstanceOf(Promise);
    expect(await answer).toBe(true);
    expect(await guard.canActivate(contextOf('later'))).toBe(true);
    await expect(guard.canActivate(contextOf('later'))).rejects.toThrow(RateLimitExceededException);
  });

  it('is asynchronous on an asynchronous storage', async () => {
    const { guard } = await compile({ storage: new MapCasStorage(new MapCasServer()) });
    const answer = guard.canActivate(contextOf('get'));
    expect(answer).toBeInstanceOf(Promise);
    expect(await answer).toBe(true);
    expect(await guard.canActivate(contextOf('get'))).toBe(true);
    await expect(guard.canActivate(contextOf('get'))).rejects.toThrow(RateLimitExceededException);
  });

  it('does not call the storage for a route without limits', async () => {
    const { guard } = await compile({ storage: new MapCasStorage(new MapCasServer()) });
    const response = new Response();
    expect(guard.canActivate(contextOf('open', undefined, response))).toBe(true);
    expect(response.fields.size).toBe(0);
  });

  it('counts a request once, however often it is checked', async () => {
    const { guard, app } = await compile({});
    const request = { ip: '203.0.113.7' };
    for (let call = 0; call < 5; call++) expect(guard.canActivate(contextOf('get', request))).toBe(true);
    const service = app.get(RateLimiterService);
    expect((await service.peek({ policy: 'default', route: 'GET /' }, request.ip)).remaining).toBe(1);
  });

  it('rejects with the error of a function, which names it', async () => {
    const { guard } = await compile({});
    await expect(guard.canActivate(contextOf('failing'))).rejects.toThrow(ResolverError);
    await expect(guard.canActivate(contextOf('failing'))).rejects.toThrow(
      '@RateLimit on ProbeController.failing: the function "key" failed: no user',
    );
  });

  it('counts requests without an address together, and warns once', async () => {
    const { guard, log } = await compile({});
    for (const ip of [undefined, null]) expect(guard.canActivate(contextOf('get', { ip }))).toBe(true);
    expect(() => guard.canActivate(contextOf('get', {}))).toThrow(RateLimitExceededException);
    expect(log.warnings).toEqual([
      'A request by "http" has no client address: all such requests share one count. Give a key or "clientIp"; ' +
        "behind a proxy on a unix socket, set the adapter's trust proxy.",
    ]);
  });

  it('also limits other transports, unknown ones by handler, or skips them with the option', async () => {
    const telegram = (): ExecutionContext => {
      const context = new ExecutionContextHost([{}, {}], ProbeController, ProbeController.prototype.get);
      context.setType('telegraph');
      return context;
    };
    const { guard, log } = await compile({});
    for (let times = 0; times < 2; times++) expect(guard.canActivate(telegram())).toBe(true);
    expect(() => guard.canActivate(telegram())).toThrow(RateLimitExceededException);
    expect(log.warnings).toEqual([
      'A request by "telegraph" has no client address: all such requests share one count. Give a key or "clientIp"; ' +
        "behind a proxy on a unix socket, set the adapter's trust proxy.",
    ]);

    const { guard: ofHttp } = await compile({ transports: ['http'] });
    for (let times = 0; times < 9; times++) expect(ofHttp.canActivate(telegram())).toBe(true);
  });
});
