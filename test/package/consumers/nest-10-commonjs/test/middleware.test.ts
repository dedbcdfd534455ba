import type { INestApplication, MiddlewareConsumer, Type } from '@nestjs/common';
import { Body, Controller, Get, Module, Post } from '@nestjs/common';
import { ExpressAdapter } from '@nestjs/platform-express';
import { Test } from '@nestjs/testing';
import { applyRateLimits, RateLimitMiddleware, RateLimitModule } from 'nestjs-limits';

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

function moduleWith(configure: (consumer: MiddlewareConsumer) => void): Type {
  @Module({
    imports: [RateLimitModule.forRoot({ rules: [{ id: 'all', path: '/**', limits: '2/minute' }] })],
    controllers: [NotesController],
  })
  class NotesModule {
    configure(consumer: MiddlewareConsumer) {
      configure(consumer);
    }
  }
  return NotesModule;
}

async function statuses(times: number, url: string, body?: string): Promise<number[]> {
  const request =
    body === undefined ? {} : { method: 'POST', body, headers: { 'content-type': 'application/json' } };
  const seen: number[] = [];
  for (let time = 0; time < times; time++) seen.push((await fetch(url, request)).status);
  return seen;
}

describe.each([['Express', () => new ExpressAdapter()]])(
  'Rules before the routes, on %s',
  (platform, adapter) => {
    let app: INestApplication;
    afterEach(() => app.close());

    async function start(module: Type, prepare: (app: INestApplication) => void): Promise<string> {
      const testing = await Test.createTestingModule({ imports: [module] }).compile();
      app = testing.createNestApplication(adapter(), { logger: false, forceCloseConnections: true });
      prepare(app);
      await app.listen(0, '127.0.0.1');
      return app.getUrl();
    }

    const applied = (prepare: (app: INestApplication) => void = () => undefined): Promise<string> =>
      start(
        moduleWith(() => undefined),
        (app) => {
          applyRateLimits(app);
          prepare(app);
        },
      );
    const bound = (prepare: (app: INestApplication) => void = () => undefined): Promise<string> =>
      start(
        moduleWith((consumer) => consumer.apply(RateLimitMiddleware).forRoutes('*')),
        prepare,
      );

    it('by applyRateLimits count GET / and paths that no route answers', async () => {
      expect(await statuses(3, await applied())).toEqual([200, 200, 429]);
      await app.close();
      expect(await statuses(3, `${await applied()}/nothing`)).toEqual([404, 404, 429]);
    });

    it('by applyRateLimits count paths inside and outside a global prefix', async () => {
      const url = await applied((app) => app.setGlobalPrefix('api'));
      expect(await statuses(1, `${url}/api`)).toEqual([200]);
      expect(await statuses(2, `${url}/nothing`)).toEqual([404, 429]);
      expect(await statuses(1, `${url}/api`)).toEqual([429]);
    });

    it.each([
      [400, '{'],
      [413, JSON.stringify({ text: 'a'.repeat(2_000_000) })],
    ])('by applyRateLimits count requests whose body the parser refuses with %i', async (status, body) => {
      expect(await statuses(3, `${await applied()}/notes`, body)).toEqual([status, status, 429]);
    });

    it('by middleware of a module count GET / and paths that no route answers', async () => {
      expect(await statuses(3, await bound())).toEqual([200, 200, 429]);
      await app.close();
      expect(await statuses(3, `${await bound()}/nothing`)).toEqual([404, 404, 429]);
    });

    it('by middleware of a module count a refused body on Fastify, where the parser comes later', async () => {
      const expected = platform === 'Fastify' ? [400, 400, 429] : [400, 400, 400];
      expect(await statuses(3, `${await bound()}/notes`, '{')).toEqual(expected);
    });
  },
);
