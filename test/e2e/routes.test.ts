import { describe, expect, it } from '@jest/globals';
import {
  All,
  Controller,
  Get,
  Module,
  Next,
  Param,
  Post,
  Res,
  Version,
  VersioningType,
  type Type,
} from '@nestjs/common';
import { RouterModule } from '@nestjs/core';
import { ConfigurationError, MemoryStorage, RateLimit, RateLimiterService } from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { describeOverHttp, limited, startHttpApp, type HttpApp } from '../support/http-app.js';

/** Returns the ids of all routes, by the error for a policy that several routes have. */
function routesOf(app: HttpApp, policy = 'default'): string[] {
  try {
    void app.nest.get(RateLimiterService).peek({ policy }, '127.0.0.1');
  } catch (error) {
    if (error instanceof ConfigurationError)
      return /one of (.*);/.exec(error.message)?.[1]?.split(', ') ?? [];
    throw error;
  }
  return [];
}

describeOverHttp('Routes', (start) => {
  it('of controllers with the same class name count separately', async () => {
    const makeController = (path: string): Type => {
      @Controller(path)
      class SameNameController {
        @Get()
        @RateLimit('2/minute')
        get() {
          return path;
        }
      }
      return SameNameController;
    };
    const app = await start(limited([makeController('a'), makeController('b')]));
    expect(await app.statuses(3, '/a')).toEqual([200, 200, 429]);
    expect(await app.statuses(3, '/b')).toEqual([200, 200, 429]);
    expect(routesOf(app)).toEqual(['"GET /a"', '"GET /b"']);
  });

  it('of controllers with the same path count separately, also per controller', async () => {
    @Controller()
    @RateLimit('4/minute', { name: 'controller' })
    class FirstController {
      @Get('first')
      @RateLimit('9/minute')
      first() {
        return '';
      }

      @Get('also')
      also() {
        return '';
      }
    }
    @Controller()
    @RateLimit('4/minute', { name: 'controller' })
    class SecondController {
      @Get('second')
      @RateLimit('9/minute')
      second() {
        return '';
      }
    }
    const app = await start(limited([FirstController, SecondController]));
    expect((await app.get('/first')).remaining).toBe('"controller";r=3, "default";r=8');
    expect((await app.get('/also')).remaining).toBe('"controller";r=2');
    expect((await app.get('/second')).remaining).toBe('"controller";r=3, "default";r=8');
  });

  it('are the same in every process, whatever the class is called there', async () => {
    const storage = new MemoryStorage({ clock: new ManualClock() });
    @Controller('users')
    @RateLimit('9/hour', { name: 'controller' })
    class UsersController {
      @Get(':id')
      @RateLimit('3/minute')
      get() {
        return '';
      }
    }
    @Controller('/users/')
    @RateLimit('9/hour', { name: 'controller' })
    class RenamedController {
      @Get('/:id')
      @RateLimit('3/minute')
      renamed() {
        return '';
      }
    }
    const first = await start(limited([UsersController], { storage }));
    const second = await start(limited([RenamedController], { storage }));
    expect((await first.get('/users/1')).remaining).toBe('"controller";r=8, "default";r=2');
    expect((await second.get('/users/1')).remaining).toBe('"controller";r=7, "default";r=1');
    expect((await first.get('/users/1')).remaining).toBe('"controller";r=6, "default";r=0');
    expect((await second.get('/users/1')).status).toBe(429);
  });

  it('of one path count separately by method', async () => {
    @Controller('things')
    class ThingsController {
      @Get()
      @RateLimit('2/minute')
      list() {
        return '';
      }

      @Post()
      @RateLimit('2/minute')
      create() {
        return '';
      }

      @All('any')
      @RateLimit('2/minute')
      any() {
        return '';
      }
    }
    const app = await start(limited([ThingsController]));
    expect((await app.get('/things')).remaining).toBe('"default";r=1');
    expect((await app.post('/things')).remaining).toBe('"default";r=1');
    expect((await app.get('/things/any')).remaining).toBe('"default";r=1');
    expect((await app.post('/things/any')).remaining).toBe('"default";r=0');
    expect((await app.request('DELETE', '/things/any')).status).toBe(429);
    expect(routesOf(app)).toEqual(['"GET /things"', '"POST /things"', '"ALL /things/any"']);
  });

  it('of a handler with several paths are one route', async () => {
    @Controller(['old', 'new'])
    class AliasedController {
      @Get(['a', 'b'])
      @RateLimit('4/minute')
      get() {
        return '';
      }
    }
    const app = await start(limited([AliasedController]));
    const paths = ['/old/a', '/old/b', '/new/a', '/new/b'];
    const replies = [];
    for (const path of paths) replies.push((await app.get(path)).remaining);
    expect(replies).toEqual(['"default";r=3', '"default";r=2', '"default";r=1', '"default";r=0']);
    expect((await app.get('/new/a')).status).toBe(429);
  });

  it.each(['/limited/', '/LIMITED', '/limited?x', '/%6cimited', '//limited'])(
    'cannot be bypassed by another spelling of the path: %s',
    async (spelling) => {
      @Controller('limited')
      class LimitedController {
        @Get()
        @RateLimit('1/minute')
        get() {
          return '';
        }
      }
      const app = await start(limited([LimitedController]));
      expect(await app.statuses(2, '/limited')).toEqual([200, 429]);
      // The platform decides whether a spelling is the same route; if so, it is limited.
      expect([404, 429]).toContain((await app.get(spelling)).status);
    },
  );

  it('count separately by version in the path', async () => {
    @Controller({ path: 'cats', version: '1' })
    class FirstCatsController {
      @Get()
      @RateLimit('2/minute')
      get() {
        return '';
      }
    }
    @Controller({ path: 'cats', version: '2' })
    class SecondCatsController {
      @Get()
      @RateLimit('2/minute')
      get() {
        return '';
      }

      @Get()
      @Version(['3', '4'])
      @RateLimit('2/minute')
      later() {
        return '';
      }
    }
    const app = await start(limited([FirstCatsController, SecondCatsController]), {
      configure: (nest) => nest.enableVersioning({ type: VersioningType.URI }),
    });
    expect((await app.get('/v1/cats')).remaining).toBe('"default";r=1');
    expect((await app.get('/v2/cats')).remaining).toBe('"default";r=1');
    expect((await app.get('/v3/cats')).remaining).toBe('"default";r=1');
    expect((await app.get('/v4/cats')).remaining).toBe('"default";r=0');
    expect(routesOf(app)).toEqual(['"GET /cats v1"', '"GET /cats v2"', '"GET /cats v3|4"']);
  });

  it('count separately by version in a header', async () => {
    @Controller('dogs')
    @RateLimit('9/minute', { name: 'controller' })
    class DogsController {
      @Get()
      @Version('1')
      @RateLimit('2/minute')
      first() {
        return 'first';
      }

      @Get()
      @Version('2')
      @RateLimit('2/minute')
      second() {
        return 'second';
      }
    }
    const app = await start(limited([DogsController]), {
      configure: (nest) => nest.enableVersioning({ type: VersioningType.HEADER, header: 'x-version' }),
    });
    const first = await app.get('/dogs', { 'x-version': '1' });
    expect([first.text, first.remaining]).toEqual(['first', '"controller";r=8, "default";r=1']);
    const second = await app.get('/dogs', { 'x-version': '2' });
    expect([second.text, second.remaining]).toEqual(['second', '"controller";r=7, "default";r=1']);
    expect(routesOf(app)).toEqual(['"GET /dogs v1"', '"GET /dogs v2"']);
  });

  it('count separately by the path that RouterModule gives their modules', async () => {
    const makeController = (): Type => {
      @Controller('users')
      @RateLimit('9/minute', { name: 'controller' })
      class UsersController {
        @Get()
        @RateLimit('2/minute')
        get() {
          return '';
        }
      }
      return UsersController;
    };
    @Module({ controllers: [makeController()] })
    class AdminModule {}
    @Module({ controllers: [makeController()] })
    class ShopModule {}
    const module = limited([]);
    const app = await start({
      imports: [
        ...(module.imports ?? []),
        AdminModule,
        ShopModule,
        RouterModule.register([
          {
            path: 'api',
            children: [
              { path: 'admin', module: AdminModule },
              { path: 'shop', module: ShopModule },
            ],
          },
        ]),
      ],
    });
    expect((await app.get('/api/admin/users')).remaining).toBe('"controller";r=8, "default";r=1');
    expect((await app.get('/api/shop/users')).remaining).toBe('"controller";r=8, "default";r=1');
    expect(routesOf(app)).toEqual(['"GET /api/admin/users"', '"GET /api/shop/users"']);
  });

  it('are named without the global prefix of the application', async () => {
    @Controller('users')
    class UsersController {
      @Get(':id')
      @RateLimit('2/minute')
      get() {
        return '';
      }
    }
    const app = await start(limited([UsersController]), { configure: (nest) => nest.setGlobalPrefix('api') });
    expect((await app.get('/api/users/7')).remaining).toBe('"default";r=1');
    const service = app.nest.get(RateLimiterService);
    const reference = { policy: 'default', route: 'GET /users/:id' };
    expect((await service.peek(reference, '127.0.0.1')).remaining).toBe(1);
  });
});

describe('A handler of Express that passes a request on to the next route', () => {
  it('applies the limits of that route', async () => {
    @Controller('pages')
    class PagesController {
      @Get(':name')
      @RateLimit('9/minute', { name: 'any' })
      any(@Param('name') name: string, @Next() next: () => void) {
        if (name !== 'any') next();
      }

      @Get('secret')
      @RateLimit('1/minute', { name: 'secret' })
      secret(@Res() response: { end(text: string): void }) {
        response.end('secret');
      }
    }
    const app = await startHttpApp('express', limited([PagesController]));
    try {
      expect((await app.get('/pages/secret')).remaining).toBe('"secret";r=0');
      expect((await app.get('/pages/secret')).status).toBe(429);
      expect((await app.nest.get(RateLimiterService).peek({ policy: 'any' }, '127.0.0.1')).remaining).toBe(7);
    } finally {
      await app.close();
    }
  });
});
