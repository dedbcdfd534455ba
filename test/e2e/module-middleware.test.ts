import { expect, it } from '@jest/globals';
import {
  Body,
  Controller,
  Get,
  Module,
  Post,
  type INestApplication,
  type MiddlewareConsumer,
  type ModuleMetadata,
} from '@nestjs/common';
import { RateLimitMiddleware } from 'nestjs-limits';
import { describeOverHttp, limited, type HttpApp } from '../support/http-app.js';

@Controller()
class NotesController {
  @Get()
  home() {
    return '';
  }

  @Post('notes')
  add(@Body() note: object) {
    return note;
  }
}

function withMiddleware(): ModuleMetadata {
  @Module(limited([NotesController], { rules: [{ id: 'all', path: '/**', limits: '2/minute' }] }))
  class NotesModule {
    configure(consumer: MiddlewareConsumer): void {
      consumer.apply(RateLimitMiddleware).forRoutes('{*path}');
    }
  }
  return { imports: [NotesModule] };
}

async function post(app: HttpApp, body: string): Promise<number> {
  const headers = { 'content-type': 'application/json' };
  return (await fetch(`${await app.nest.getUrl()}/notes`, { method: 'POST', body, headers })).status;
}

/** With `applyRateLimits`, all of these count. */
describeOverHttp('RateLimitMiddleware that a module applies', (start, platform) => {
  it.each([
    ['/', 200],
    ['/?a=b', 200],
    ['/nothing', 404],
    ['/nothing/at/all', 404],
  ])('counts GET %s', async (path, status) => {
    const app = await start(withMiddleware());
    expect(await app.statuses(3, path)).toEqual([status, status, 429]);
  });

  it('counts paths within a global prefix, and those outside only in the guard', async () => {
    const configure = (app: INestApplication): unknown => app.setGlobalPrefix('api');
    const app = await start(withMiddleware(), { configure });
    expect(await app.statuses(2, '/nothing')).toEqual([404, 404]);
    expect(await app.statuses(3, '/api/nothing')).toEqual([404, 404, 429]);
    expect(await app.statuses(3, '/nothing')).toEqual([404, 404, 404]);
  });

  it.each([
    [400, '{'],
    [413, JSON.stringify({ text: 'a'.repeat(2_000_000) })],
  ])(
    'counts requests whose body is refused with %i on Fastify, where the parser comes later',
    async (status, body) => {
      const app = await start(withMiddleware());
      const seen = [await post(app, body), await post(app, body), await post(app, body)];
      expect(seen).toEqual([status, status, platform === 'fastify' ? 429 : status]);
    },
  );
});
