import { expect, it } from '@jest/globals';
import { applyDecorators, Controller, Get, Inject, Post, Scope } from '@nestjs/common';
import { REQUEST } from '@nestjs/core';
import { parseMany, RateLimit, RateLimiterService, SkipRateLimit } from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { describeOverHttp, limited } from '../support/http-app.js';

const client = '127.0.0.1';

@Controller('plain')
class PlainController {
  @Get()
  plain() {
    return 'plain';
  }
}

@Controller('other')
class OtherController {
  @Get()
  other() {
    return 'other';
  }
}

describeOverHttp('The set of limits', (start) => {
  it('limits decorated routes only when the module has no limits', async () => {
    @Controller()
    class MixedController {
      @Get('limited')
      @RateLimit('1/minute')
      limited() {
        return '';
      }

      @Get('open')
      open() {
        return '';
      }
    }
    const app = await start(limited([MixedController, PlainController]));
    expect(await app.statuses(2, '/limited')).toEqual([200, 429]);
    expect(await app.statuses(3, '/open')).toEqual([200, 200, 200]);
    expect(await app.statuses(3, '/plain')).toEqual([200, 200, 200]);
    expect((await app.get('/open')).fields).toEqual({});
  });

  it('counts the limits of the module for all routes together', async () => {
    const app = await start(limited([PlainController, OtherController], { limits: '3/minute' }));
    expect((await app.get('/plain')).remaining).toBe('"default";r=2');
    expect((await app.get('/other')).remaining).toBe('"default";r=1');
    expect((await app.get('/plain')).remaining).toBe('"default";r=0');
    expect((await app.get('/other')).status).toBe(429);
  });

  it.each([
    ['a text', '2/minute; 3/hour'],
    ['items', parseMany('2/minute; 3/hour')],
    ['a declaration', [{ limits: '2/minute; 3/hour' }]],
  ])('accepts the limits of the module as %s', async (_form, limits) => {
    const clock = new ManualClock();
    const app = await start(limited([PlainController], { limits }, clock));
    expect(await app.statuses(3, '/plain')).toEqual([200, 200, 429]);
    clock.advance(60_000);
    expect(await app.statuses(2, '/plain')).toEqual([200, 429]);
    expect((await app.get('/plain')).fields['ratelimit-policy']).toBe(
      '"default/minute";q=2;w=60, "default/hour";q=3;w=3600',
    );
  });

  it('accepts several named declarations of the module, each with its own options', async () => {
    const app = await start(
      limited([PlainController, OtherController], {
        limits: [
          { name: 'each', limits: '5/minute', scope: 'route' },
          { name: 'burst', limits: '60/minute', strategy: 'token-bucket', burst: 3 },
        ],
      }),
    );
    expect((await app.get('/plain')).remaining).toBe('"each";r=4, "burst";r=2');
    expect((await app.get('/other')).remaining).toBe('"each";r=4, "burst";r=1');
    expect((await app.get('/other')).remaining).toBe('"each";r=3, "burst";r=0');
    expect((await app.get('/plain')).remaining).toBe('"each";r=4, "burst";r=0');
  });

  it('does not limit a route that does not exist', async () => {
    const app = await start(limited([PlainController], { limits: '1/minute' }));
    expect(await app.statuses(3, '/nowhere')).toEqual([404, 404, 404]);
    expect((await app.get('/plain')).status).toBe(200);
  });

  it('counts HEAD as the GET that handles it', async () => {
    const app = await start(limited([PlainController], { limits: '2/minute' }));
    expect((await app.request('HEAD', '/plain')).status).toBe(200);
    expect(await app.statuses(2, '/plain')).toEqual([200, 429]);
    expect((await app.request('HEAD', '/plain')).status).toBe(429);
  });

  it('counts a request once for different full paths and queries', async () => {
    @Controller('things')
    class ThingsController {
      @Get(':id')
      @RateLimit('2/minute')
      thing() {
        return '';
      }
    }
    const app = await start(limited([ThingsController]));
    expect((await app.get('/things/1')).remaining).toBe('"default";r=1');
    expect((await app.get('/things/2?a=1')).remaining).toBe('"default";r=0');
    expect((await app.get('/things/%33')).status).toBe(429);
  });
});

describeOverHttp('Levels', (start) => {
  @Controller('levels')
  @RateLimit('5/minute')
  @RateLimit('50/minute', { name: 'class' })
  class LevelsController {
    @Get('handler')
    @RateLimit('2/minute')
    handler() {
      return '';
    }

    @Get('class')
    class() {
      return '';
    }
  }

  it('replaces by name: the handler replaces its class, the class the module; other names add up', async () => {
    const app = await start(
      limited([LevelsController, PlainController], {
        limits: [{ limits: '9/minute' }, { name: 'module', limits: '90/minute' }],
      }),
    );
    expect((await app.get('/plain')).fields['ratelimit-policy']).toBe(
      '"default";q=9;w=60, "module";q=90;w=60',
    );
    expect((await app.get('/levels/class')).fields['ratelimit-policy']).toBe(
      '"default";q=5;w=60, "module";q=90;w=60, "class";q=50;w=60',
    );
    const reply = await app.get('/levels/handler');
    expect(reply.fields['ratelimit-policy']).toBe(
      '"default";q=2;w=60, "module";q=90;w=60, "class";q=50;w=60',
    );
    expect(reply.remaining).toBe('"default";r=1, "module";r=87, "class";r=48');
  });

  it('replaces every window of an outer limit of the same name', async () => {
    @Controller()
    @RateLimit('5/minute; 50/hour; 500/day')
    class OneWindowController {
      @Get()
      @RateLimit('7/second')
      get() {
        return '';
      }
    }
    const app = await start(limited([OneWindowController]));
    expect((await app.get('/')).fields['ratelimit-policy']).toBe('"default";q=7;w=1');
  });

  it('takes nothing from any limit when one of them refuses', async () => {
    @Controller()
    class StrictController {
      @Get()
      @RateLimit('1/minute', { name: 'strict' })
      @RateLimit('10/hour', { name: 'wide' })
      get() {
        return '';
      }
    }
    const app = await start(limited([StrictController]));
    const service = app.nest.get(RateLimiterService);
    expect(await app.statuses(4, '/')).toEqual([200, 429, 429, 429]);
    expect((await service.peek({ policy: 'wide' }, client)).remaining).toBe(9);
    expect((await app.get('/')).remaining).toBe('"strict";r=0, "wide";r=9');
  });

  it('applies every unnamed limit of one handler', async () => {
    const clock = new ManualClock();
    @Controller()
    class RepeatedController {
      @Get()
      @RateLimit('2/minute')
      @RateLimit('3/hour')
      get() {
        return '';
      }
    }
    const app = await start(limited([RepeatedController], {}, clock));
    expect((await app.get('/')).fields['ratelimit-policy']).toBe(
      '"default/minute";q=2;w=60, "default/hour";q=3;w=3600',
    );
    expect(await app.statuses(2, '/')).toEqual([200, 429]);
    clock.advance(60_000);
    expect(await app.statuses(2, '/')).toEqual([200, 429]);
  });

  it('distinguishes unnamed limits with the same window by their strategies', async () => {
    @Controller()
    class TwoStrategiesController {
      @Get()
      @RateLimit('3/minute')
      @RateLimit('60/minute', { strategy: 'token-bucket', burst: 2 })
      get() {
        return '';
      }
    }
    const app = await start(limited([TwoStrategiesController]));
    expect((await app.get('/')).remaining).toBe(
      '"default/minute/fixed-window";r=2, "default/minute/token-bucket";r=1',
    );
    expect(await app.statuses(2, '/')).toEqual([200, 429]);
  });

  it('accepts names of Object.prototype as names', async () => {
    @Controller()
    class NaturalNamesController {
      @Get('toString')
      @RateLimit('1/minute', { name: 'constructor', scope: 'constructor' })
      @RateLimit('2/minute', { name: 'toString', scope: '__proto__' })
      @RateLimit('3/minute', { name: 'hasOwnProperty' })
      natural() {
        return '';
      }

      @Get('valueOf')
      @RateLimit('1/minute')
      valueOf() {
        return '';
      }
    }
    const app = await start(limited([NaturalNamesController]));
    expect((await app.get('/toString')).remaining).toBe(
      '"constructor";r=0, "toString";r=1, "hasOwnProperty";r=2',
    );
    expect((await app.get('/toString')).status).toBe(429);
    expect(await app.statuses(2, '/valueOf')).toEqual([200, 429]);
  });
});

describeOverHttp('Composed decorators', (start) => {
  const Costly = (): ClassDecorator & MethodDecorator =>
    applyDecorators(RateLimit('5/minute', { name: 'costly' }), RateLimit('9/hour', { name: 'more' }));

  it('limit a handler and a class like separate decorators', async () => {
    @Controller('class')
    @Costly()
    class CostlyController {
      @Get()
      get() {
        return '';
      }
    }
    @Controller('handler')
    class MixedController {
      @Get()
      @Costly()
      @RateLimit('7/day')
      get() {
        return '';
      }

      @Get('free')
      free() {
        return '';
      }
    }
    const app = await start(limited([CostlyController, MixedController]));
    expect((await app.get('/class')).remaining).toBe('"more";r=8, "costly";r=4');
    expect((await app.get('/handler')).remaining).toBe('"more";r=8, "costly";r=4, "default";r=6');
    expect((await app.get('/handler/free')).fields).toEqual({});
  });
});

describeOverHttp('Concurrent requests', (start) => {
  it('allow exactly the amount of the limit', async () => {
    const app = await start(limited([PlainController], { limits: '7/minute' }));
    const replies = await Promise.all(Array.from({ length: 30 }, () => app.get('/plain')));
    expect(replies.filter(({ status }) => status === 200)).toHaveLength(7);
    expect(replies.filter(({ status }) => status === 429)).toHaveLength(23);
  });
});

describeOverHttp('A request-scoped controller', (start) => {
  it('is limited like any other', async () => {
    @Controller({ path: 'scoped', scope: Scope.REQUEST })
    @RateLimit('3/minute', { name: 'class' })
    class ScopedController {
      constructor(@Inject(REQUEST) private readonly request: { url: string }) {}

      @Get()
      @RateLimit('2/minute')
      get() {
        return this.request.url;
      }
    }
    const app = await start(limited([ScopedController]));
    const reply = await app.get('/scoped');
    expect([reply.text, reply.remaining]).toEqual(['/scoped', '"class";r=2, "default";r=1']);
    expect(await app.statuses(2, '/scoped')).toEqual([200, 429]);
  });
});

describeOverHttp('Inheritance', (start) => {
  @RateLimit('9/minute')
  @RateLimit('90/minute', { name: 'base' })
  abstract class BaseController {
    @Get('all')
    all() {
      return '';
    }

    @Get('one')
    @RateLimit('2/minute')
    one() {
      return '';
    }
  }

  @Controller('heir')
  class HeirController extends BaseController {}

  @Controller('rebel')
  @RateLimit('4/minute')
  class RebelController extends BaseController {}

  @Controller('overrider')
  class OverriderController extends BaseController {
    @Get('one')
    override one() {
      return '';
    }
  }

  it('applies the limits of a class to a controller that extends it', async () => {
    const app = await start(limited([HeirController]));
    expect((await app.get('/heir/all')).fields['ratelimit-policy']).toBe(
      '"default";q=9;w=60, "base";q=90;w=60',
    );
    expect((await app.get('/heir/one')).fields['ratelimit-policy']).toBe(
      '"default";q=2;w=60, "base";q=90;w=60',
    );
  });

  it('replaces by name in the derived class and does not change the base class or its other derived classes', async () => {
    const app = await start(limited([RebelController, HeirController]));
    expect((await app.get('/rebel/all')).fields['ratelimit-policy']).toBe(
      '"default";q=4;w=60, "base";q=90;w=60',
    );
    expect((await app.get('/rebel/one')).fields['ratelimit-policy']).toBe(
      '"default";q=2;w=60, "base";q=90;w=60',
    );
    expect((await app.get('/heir/all')).fields['ratelimit-policy']).toBe(
      '"default";q=9;w=60, "base";q=90;w=60',
    );
  });

  it('counts the derived classes of one base class separately', async () => {
    const app = await start(limited([RebelController, HeirController]));
    expect(await app.statuses(3, '/heir/one')).toEqual([200, 200, 429]);
    expect((await app.get('/rebel/one')).remaining).toBe('"default";r=1, "base";r=89');
  });

  it('drops the limit of a handler that is overridden without one', async () => {
    const app = await start(limited([OverriderController]));
    expect((await app.get('/overrider/one')).fields['ratelimit-policy']).toBe(
      '"default";q=9;w=60, "base";q=90;w=60',
    );
  });

  it('does not apply a limit of a derived class to the base class', async () => {
    @Controller('parent')
    class ParentController {
      @Get()
      get() {
        return '';
      }
    }
    @Controller('child')
    @RateLimit('1/minute')
    class ChildController extends ParentController {}
    const app = await start(limited([ParentController, ChildController]));
    expect(await app.statuses(2, '/child')).toEqual([200, 429]);
    expect(await app.statuses(2, '/parent')).toEqual([200, 200]);
  });

  it('keeps the limit of a handler that another decorator has wrapped', async () => {
    // As aspect-oriented decorators do: the wrapper inherits the metadata of the original through
    // its prototype.
    const Wrapped =
      (): MethodDecorator =>
      <T>(_target: object, _name: string | symbol, descriptor: TypedPropertyDescriptor<T>) => {
        const original = descriptor.value as (...args: unknown[]) => unknown;
        const wrapper = function (this: unknown, ...args: unknown[]): unknown {
          return original.apply(this, args);
        };
        descriptor.value = Object.setPrototypeOf(wrapper, original) as T;
      };
    @Controller()
    class WrappedController {
      @Wrapped()
      @Get('inside')
      @RateLimit('1/minute')
      inside() {
        return '';
      }

      @RateLimit('2/hour')
      @Wrapped()
      @Get('both')
      @RateLimit('1/minute')
      both() {
        return '';
      }

      @Wrapped()
      @SkipRateLimit()
      @Get('skipped')
      skipped() {
        return '';
      }
    }
    const app = await start(
      limited([WrappedController], { limits: [{ name: 'all', limits: '100/minute' }] }),
    );
    expect((await app.get('/inside')).remaining).toBe('"all";r=99, "default";r=0');
    expect((await app.get('/both')).remaining).toBe('"all";r=98, "default/hour";r=1, "default/minute";r=0');
    expect((await app.get('/skipped')).fields).toEqual({});
  });
});

describeOverHttp('Scopes', (start) => {
  it('counts a limit of the class for its routes together, and a limit of the handler for its route only', async () => {
    @Controller('users')
    @RateLimit('10/minute', { name: 'all' })
    class UsersController {
      @Get('a')
      @RateLimit('5/minute')
      a() {
        return '';
      }

      @Get('b')
      @RateLimit('5/minute')
      b() {
        return '';
      }
    }
    const app = await start(limited([UsersController]));
    expect((await app.get('/users/a')).remaining).toBe('"all";r=9, "default";r=4');
    expect((await app.get('/users/b')).remaining).toBe('"all";r=8, "default";r=4');
  });

  it('counts per route, controller or globally as the scope requires, at every level', async () => {
    @Controller('first')
    @RateLimit('10/minute', { name: 'route', scope: 'route' })
    class FirstController {
      @Get('a')
      @RateLimit('10/minute', { name: 'controller', scope: 'controller' })
      @RateLimit('10/minute', { name: 'global', scope: 'global' })
      a() {
        return '';
      }

      @Get('b')
      @RateLimit('10/minute', { name: 'controller', scope: 'controller' })
      @RateLimit('10/minute', { name: 'global', scope: 'global' })
      b() {
        return '';
      }
    }
    @Controller('second')
    class SecondController {
      @Get()
      @RateLimit('10/minute', { name: 'controller', scope: 'controller' })
      @RateLimit('10/minute', { name: 'global', scope: 'global' })
      get() {
        return '';
      }
    }
    const app = await start(limited([FirstController, SecondController]));
    expect((await app.get('/first/a')).remaining).toBe('"route";r=9, "controller";r=9, "global";r=9');
    expect((await app.get('/first/b')).remaining).toBe('"route";r=9, "controller";r=8, "global";r=8');
    expect((await app.get('/second')).remaining).toBe('"controller";r=9, "global";r=7');
  });

  it('shares a count among all routes with the same custom scope', async () => {
    @Controller('mail')
    class MailController {
      @Post()
      @RateLimit('3/minute', { scope: 'costly' })
      send() {
        return '';
      }
    }
    @Controller('sms')
    class SmsController {
      @Post()
      @RateLimit('3/minute', { scope: 'costly' })
      send() {
        return '';
      }

      @Get()
      @RateLimit('3/minute', { scope: 'cheap' })
      list() {
        return '';
      }
    }
    const app = await start(limited([MailController, SmsController]));
    expect((await app.post('/mail')).remaining).toBe('"default";r=2');
    expect((await app.post('/sms')).remaining).toBe('"default";r=1');
    expect((await app.get('/sms')).remaining).toBe('"default";r=2');
    expect((await app.post('/mail')).remaining).toBe('"default";r=0');
    expect((await app.post('/sms')).status).toBe(429);
  });

  it('does not confuse a custom scope with a built-in one', async () => {
    @Controller()
    class LookalikeController {
      @Get('a')
      @RateLimit('5/minute', { scope: 'route http GET /b' })
      a() {
        return '';
      }

      @Get('b')
      @RateLimit('5/minute')
      b() {
        return '';
      }
    }
    const app = await start(limited([LookalikeController]));
    await app.get('/a');
    expect((await app.get('/b')).remaining).toBe('"default";r=4');
  });
});
