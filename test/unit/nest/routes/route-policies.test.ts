import { describe, expect, it } from '@jest/globals';
import { Controller, Get, Module, type Type } from '@nestjs/common';
import { LazyModuleLoader } from '@nestjs/core';
import { Test, type TestingModule } from '@nestjs/testing';
import { RateLimit, RateLimitModule, type RateLimitModuleOptions } from 'nestjs-limits';
import { setImmediate as immediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { RouteHandler } from '../../../../lib/nest/transports/transport.js';
import { PolicyDirectory } from '../../../../lib/nest/routes/policy-directory.js';
import type { RoutePolicy } from '../../../../lib/nest/routes/route-policy.js';
import { RoutePolicies } from '../../../../lib/nest/routes/route-policies.js';

async function compile(controllers: Type[], options: RateLimitModuleOptions = {}): Promise<TestingModule> {
  const module = await Test.createTestingModule({
    imports: [RateLimitModule.forRoot(options)],
    controllers,
  }).compile();
  return module.init();
}

function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}

const idsOf = (policies: readonly RoutePolicy[]): string[] =>
  policies.flatMap(({ limits }) => limits.map(({ id }) => id));

@Controller('late')
@RateLimit('9/hour', { name: 'class' })
class LateController {
  @Get('one')
  @RateLimit('2/minute')
  one() {
    return '';
  }

  @Get('broken')
  @RateLimit('2/aeon')
  broken() {
    return '';
  }
}

describe('The policies of a route', () => {
  it('are compiled when the application starts, and are the same objects for every request', async () => {
    @Controller('early')
    class EarlyController {
      @Get(':id')
      @RateLimit('2/minute')
      get() {
        return '';
      }
    }
    const module = await compile([EarlyController], { limits: [{ name: 'all', limits: '9/day' }] });
    const routes = module.get(RoutePolicies);
    const { policies } = routes.get(EarlyController, EarlyController.prototype.get);
    expect(routes.get(EarlyController, EarlyController.prototype.get).policies).toBe(policies);
    expect(idsOf(policies)).toEqual([
      'all@global:86400000:fixed-window',
      'default@route http GET /early/:id:60000:fixed-window',
    ]);
    expect(policies.map(({ name, where }) => [name, where])).toEqual([
      ['all', 'RateLimitModule'],
      ['default', '@RateLimit on EarlyController.get'],
    ]);
    expect(policies.every(Object.isFrozen)).toBe(true);
    expect(policies.every(({ limits }) => Object.isFrozen(limits) && limits.every(Object.isFrozen))).toBe(
      true,
    );
    await module.close();
  });

  it('of a controller that was not known at the start are compiled at its first request', async () => {
    const module = await compile([], { limits: [{ name: 'all', limits: '9/day' }] });
    const routes = module.get(RoutePolicies);
    const directory = module.get(PolicyDirectory);
    expect(() => directory.find({ policy: 'class' })).toThrow(
      'There is no policy "class". Known policies: none.',
    );

    const { policies } = routes.get(LateController, LateController.prototype.one);
    expect(idsOf(policies)).toEqual([
      'all@global:86400000:fixed-window',
      'class@controller http GET /late/broken:3600000:fixed-window',
      'default@route http GET /late/one:60000:fixed-window',
    ]);
    expect(routes.get(LateController, LateController.prototype.one).policies).toBe(policies);
    expect(directory.find({ policy: 'class' })).toBe(policies[1]);
    await module.close();
  });

  it('of a controller in a lazy-loaded module are compiled too', async () => {
    @Module({ controllers: [LateController] })
    class LateModule {}
    const module = await compile([]);
    await module.get(LazyModuleLoader).load(() => LateModule);
    const routes = module.get(RoutePolicies);
    expect(idsOf(routes.get(LateController, LateController.prototype.one).policies)).toHaveLength(2);
    await module.close();
  });

  it('that are invalid and were not known at the start throw with their location at each request', async () => {
    const module = await compile([]);
    const routes = module.get(RoutePolicies);
    const broken = (): unknown => routes.get(LateController, LateController.prototype.broken);
    expect(broken).toThrow(/^@RateLimit on LateController\.broken: Cannot read the rate limit "2\/aeon"/);
    expect(broken).toThrow(/^@RateLimit on LateController\.broken: Cannot read the rate limit "2\/aeon"/);
    await module.close();
  });

  it('of one handler are compiled once per controller that inherits it', async () => {
    class Base {
      @Get()
      @RateLimit('2/minute')
      get() {
        return '';
      }
    }
    @Controller('a')
    class FirstController extends Base {}
    @Controller('b')
    class SecondController extends Base {}
    const module = await compile([FirstController, SecondController]);
    const routes = module.get(RoutePolicies);
    const handler = Base.prototype.get;
    expect(idsOf(routes.get(FirstController, handler).policies)).toEqual([
      'default@route http GET /a:60000:fixed-window',
    ]);
    expect(idsOf(routes.get(SecondController, handler).policies)).toEqual([
      'default@route http GET /b:60000:fixed-window',
    ]);
    await module.close();
  });

  it('of a handler that is created for each request are garbage-collected with it', async () => {
    const module = await compile([]);
    const routes = module.get(RoutePolicies);
    // As decorators do that wrap the methods of request-scoped instances: each wrapper inherits the
    // original's metadata.
    const makeHandler = (): WeakRef<RouteHandler> => {
      const handler = Object.setPrototypeOf(() => '', LateController.prototype.one) as RouteHandler;
      expect(idsOf(routes.get(LateController, handler).policies)).toContain(
        'default@route http GET /late/one:60000:fixed-window',
      );
      return new WeakRef(handler);
    };
    const handlers = Array.from({ length: 100 }, makeHandler);
    expect(module.get(PolicyDirectory).find({ policy: 'default' }).name).toBe('default');

    await immediate();
    collectGarbage();
    expect(handlers.filter((handler) => handler.deref() !== undefined)).toEqual([]);
    await module.close();
  });
});
