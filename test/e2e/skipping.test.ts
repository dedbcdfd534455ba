import { expect, it } from '@jest/globals';
import { Controller, Get, type ExecutionContext } from '@nestjs/common';
import { RateLimit, SkipRateLimit } from 'nestjs-limits';
import { describeOverHttp, limited } from '../support/http-app.js';

const header = (context: ExecutionContext, name: string): string | undefined =>
  context.switchToHttp().getRequest<{ headers: Record<string, string | undefined> }>().headers[name];

describeOverHttp('@SkipRateLimit', (start) => {
  it('exempts a handler from every limit, including its own', async () => {
    @Controller()
    @RateLimit('3/minute', { name: 'class' })
    class HandlerController {
      @Get('skipped')
      @SkipRateLimit()
      @RateLimit('1/minute')
      skipped() {
        return '';
      }

      @Get('counted')
      counted() {
        return '';
      }
    }
    const app = await start(limited([HandlerController], { limits: '5/minute' }));
    expect(await app.statuses(7, '/skipped')).toEqual(Array(7).fill(200));
    expect((await app.get('/skipped')).fields).toEqual({});
    expect((await app.get('/counted')).remaining).toBe('"default";r=4, "class";r=2');
  });

  it('exempts the handlers of a class, except from their own limits', async () => {
    @Controller()
    @SkipRateLimit()
    class ClassController {
      @Get('open')
      open() {
        return '';
      }

      @Get('own')
      @RateLimit('1/minute', { name: 'own' })
      own() {
        return '';
      }
    }
    const app = await start(limited([ClassController], { limits: '2/minute' }));
    expect(await app.statuses(4, '/open')).toEqual([200, 200, 200, 200]);
    expect((await app.get('/own')).remaining).toBe('"own";r=0');
    expect((await app.get('/own')).status).toBe(429);
  });

  it('skips the named policies only', async () => {
    @Controller()
    @SkipRateLimit('burst')
    class NamedController {
      @Get('class')
      class() {
        return '';
      }

      @Get('handler')
      @SkipRateLimit('day', 'hour')
      handler() {
        return '';
      }
    }
    const limits = ['burst', 'minute', 'hour', 'day'].map((name) => ({ name, limits: '9/minute' }));
    const app = await start(limited([NamedController], { limits }));
    expect((await app.get('/class')).remaining).toBe('"minute";r=8, "hour";r=8, "day";r=8');
    expect((await app.get('/handler')).remaining).toBe('"minute";r=7');
  });

  it('adds up when it is repeated', async () => {
    @Controller()
    class RepeatedController {
      @Get('names')
      @SkipRateLimit('burst')
      @SkipRateLimit('day')
      names() {
        return '';
      }

      @Get('inner')
      @SkipRateLimit('burst')
      @SkipRateLimit()
      inner() {
        return '';
      }

      @Get('outer')
      @SkipRateLimit()
      @SkipRateLimit('burst')
      outer() {
        return '';
      }
    }
    const limits = ['burst', 'minute', 'day'].map((name) => ({ name, limits: '9/minute' }));
    const app = await start(limited([RepeatedController], { limits }));
    expect((await app.get('/names')).remaining).toBe('"minute";r=8');
    expect((await app.get('/inner')).fields).toEqual({});
    expect((await app.get('/outer')).fields).toEqual({});
  });

  it('is inherited by a derived class, whose own limits apply', async () => {
    @SkipRateLimit()
    abstract class SkippingBase {
      @Get()
      get() {
        return '';
      }
    }
    @Controller('heir')
    class HeirController extends SkippingBase {}
    @Controller('limited')
    @RateLimit('1/minute')
    class LimitedController extends SkippingBase {}

    const app = await start(limited([HeirController, LimitedController], { limits: '1/hour' }));
    expect(await app.statuses(3, '/heir')).toEqual([200, 200, 200]);
    expect(await app.statuses(2, '/limited')).toEqual([200, 429]);
  });

  it('stops the start when it names a policy that does not apply, and lists those that do', async () => {
    @Controller()
    class MisspeltController {
      @Get()
      @SkipRateLimit('brust')
      @RateLimit('2/minute', { name: 'own' })
      get() {
        return '';
      }
    }
    const limits = [{ limits: '1/minute' }, { name: 'burst', limits: '1/second' }];
    await expect(start(limited([MisspeltController], { limits }))).rejects.toThrow(
      '@RateLimit on MisspeltController.get: @SkipRateLimit names the policy "brust", which does not apply there. ' +
        'Policies that do: default, burst, own.',
    );
    await expect(start(limited([MisspeltController]))).rejects.toThrow('Policies that do: own.');
  });

  it('reports if no policy applies at all', async () => {
    @Controller()
    @SkipRateLimit('toString')
    class EmptyController {
      @Get()
      get() {
        return '';
      }
    }
    await expect(start(limited([EmptyController]))).rejects.toThrow(
      '@SkipRateLimit names the policy "toString", which does not apply there. No policy does.',
    );
  });
});

describeOverHttp('The option skip', (start) => {
  const isFriend = (context: ExecutionContext): boolean => header(context, 'x-friend') === 'yes';
  const friend = { 'x-friend': 'yes' };

  @Controller()
  class SkipController {
    @Get('own')
    @RateLimit('1/minute', { name: 'own', skip: isFriend })
    @RateLimit('5/minute')
    own() {
      return '';
    }

    @Get('later')
    @RateLimit('1/minute', { skip: async (context) => Promise.resolve(isFriend(context)) })
    later() {
      return '';
    }

    @Get('all')
    @RateLimit('1/minute')
    all() {
      return '';
    }
  }

  it('of a decorator exempts a request from this policy only', async () => {
    const app = await start(limited([SkipController]));
    expect((await app.get('/own', friend)).remaining).toBe('"default";r=4');
    expect((await app.get('/own')).remaining).toBe('"own";r=0, "default";r=3');
    expect((await app.get('/own')).status).toBe(429);
    expect((await app.get('/own', friend)).remaining).toBe('"default";r=2');
  });

  it('can return asynchronously', async () => {
    const app = await start(limited([SkipController]));
    expect(await app.statuses(3, '/later', friend)).toEqual([200, 200, 200]);
    expect(await app.statuses(2, '/later')).toEqual([200, 429]);
  });

  it.each([
    ['at once', isFriend],
    ['later', async (context: ExecutionContext) => Promise.resolve(isFriend(context))],
  ])('of the module exempts a request from every policy, returning %s', async (_when, skip) => {
    const app = await start(limited([SkipController], { skip }));
    const skipped = await app.get('/all', friend);
    expect([skipped.status, skipped.fields]).toEqual([200, {}]);
    expect(await app.statuses(3, '/all', friend)).toEqual([200, 200, 200]);
    expect(await app.statuses(2, '/all')).toEqual([200, 429]);
    expect((await app.get('/all', friend)).status).toBe(200);
  });
});
