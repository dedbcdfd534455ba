import { expect, it, jest } from '@jest/globals';
import {
  Controller,
  Get,
  Inject,
  Injectable,
  Module,
  UseGuards,
  type CanActivate,
  type DynamicModule,
} from '@nestjs/common';
import { LazyModuleLoader, REQUEST } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import {
  ConfigurationError,
  InjectRateLimitStorage,
  MemoryStorage,
  RATE_LIMIT_STORAGE,
  RateLimit,
  RateLimiterService,
  RateLimitGuard,
  RateLimitModule,
  Storage,
  type RateLimitModuleOptions,
  type RateLimitOptionsFactory,
} from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { describeOverHttp, limited } from '../support/http-app.js';

@Controller()
class PlainController {
  @Get()
  plain() {
    return '';
  }
}

@Controller('own')
class DecoratedController {
  @Get()
  @RateLimit('2/minute')
  get() {
    return '';
  }
}

@Injectable()
class Settings {
  readonly limits = '2/minute';
}

@Module({ providers: [Settings], exports: [Settings] })
class SettingsModule {}

describeOverHttp('forRootAsync', (start) => {
  it('takes the options from a factory, with its imports and injected dependencies', async () => {
    const module = RateLimitModule.forRootAsync({
      imports: [SettingsModule],
      inject: [Settings],
      useFactory: ({ limits }: Settings) => ({ limits }),
    });
    const app = await start({ imports: [module], controllers: [PlainController] });
    expect(await app.statuses(3, '/')).toEqual([200, 200, 429]);
  });

  it('waits for an asynchronous factory', async () => {
    const useFactory = async (): Promise<RateLimitModuleOptions> => Promise.resolve({ limits: '1/minute' });
    const app = await start({
      imports: [RateLimitModule.forRootAsync({ useFactory })],
      controllers: [PlainController],
    });
    expect(await app.statuses(2, '/')).toEqual([200, 429]);
  });

  it('takes the options from a class that it instantiates, with its injected dependencies', async () => {
    @Injectable()
    class OptionsFactory implements RateLimitOptionsFactory {
      constructor(@Inject(Settings) private readonly settings: Settings) {}

      createRateLimitOptions(): RateLimitModuleOptions {
        return { limits: this.settings.limits };
      }
    }
    const module = RateLimitModule.forRootAsync({ imports: [SettingsModule], useClass: OptionsFactory });
    const app = await start({ imports: [module], controllers: [PlainController] });
    expect(await app.statuses(3, '/')).toEqual([200, 200, 429]);
  });

  it('takes the options from an existing provider', async () => {
    @Injectable()
    class OptionsFactory implements RateLimitOptionsFactory {
      async createRateLimitOptions(): Promise<RateLimitModuleOptions> {
        return Promise.resolve({ limits: '1/minute' });
      }
    }
    @Module({ providers: [OptionsFactory], exports: [OptionsFactory] })
    class OptionsModule {}

    const module = RateLimitModule.forRootAsync({ imports: [OptionsModule], useExisting: OptionsFactory });
    const app = await start({ imports: [module], controllers: [PlainController] });
    expect(await app.statuses(2, '/')).toEqual([200, 429]);
  });

  it('fails the start if an injected dependency is request-scoped, since nothing would be limited', async () => {
    const error: unknown = await start({
      imports: [
        RateLimitModule.forRootAsync({ inject: [REQUEST], useFactory: () => ({ limits: '1/minute' }) }),
      ],
    }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ConfigurationError);
    expect((error as Error).message).toBe(
      'RateLimitModule is created once, before any request, but its options or its storage depend on a request-scoped provider. Inject ' +
        'singletons into its factory, and let functions such as key, plan, limits and skip read the request from the context they are given.',
    );
  });

  it('fails the start with the error of its factory', async () => {
    const useFactory = (): never => {
      throw new Error('no settings');
    };
    const module = RateLimitModule.forRootAsync({ useFactory });
    await expect(start({ imports: [module] })).rejects.toThrow('no settings');
  });
});

describeOverHttp('isGlobal', (start) => {
  @Controller('used')
  class UsingController {
    constructor(@Inject(RateLimiterService) private readonly limiter: RateLimiterService) {}

    @Get()
    use() {
      return this.limiter.hit('1/minute', 'used');
    }
  }

  @Module({ controllers: [UsingController] })
  class FeatureModule {}

  it.each([
    ['forRoot', RateLimitModule.forRoot()],
    ['forRootAsync', RateLimitModule.forRootAsync({ useFactory: () => ({}) })],
  ])('is the default of %s: every module can inject the service', async (_method, module) => {
    const app = await start({ imports: [module, FeatureModule] });
    expect((await app.get('/used')).text).toBe('true');
    expect((await app.get('/used')).text).toBe('false');
  });

  it.each([
    ['forRoot', RateLimitModule.forRoot({ isGlobal: false, limits: '3/minute' })],
    [
      'forRootAsync',
      RateLimitModule.forRootAsync({ isGlobal: false, useFactory: () => ({ limits: '3/minute' }) }),
    ],
  ])(
    'can be disabled in %s: only modules that import it can inject the service',
    async (_method, module: DynamicModule) => {
      await expect(start({ imports: [module, FeatureModule] })).rejects.toThrow(
        /Nest can't resolve dependencies of the UsingController/,
      );
      @Module({ imports: [module], controllers: [UsingController] })
      class ImportingModule {}
      const app = await start({ imports: [module, ImportingModule], controllers: [PlainController] });
      expect((await app.get('/used')).text).toBe('true');
      expect(await app.statuses(3, '/')).toEqual([200, 200, 429]);
    },
  );
});

describeOverHttp('guard: false', (start) => {
  @Controller('guarded')
  @UseGuards(RateLimitGuard)
  class GuardedController {
    @Get()
    @RateLimit('2/minute')
    get() {
      return '';
    }
  }

  it.each([
    [
      'forRoot',
      () => RateLimitModule.forRoot({ guard: false, limits: [{ name: 'all', limits: '9/minute' }] }),
    ],
    [
      'forRootAsync',
      () =>
        RateLimitModule.forRootAsync({
          guard: false,
          useFactory: () => ({ limits: [{ name: 'all', limits: '9/minute' }] }),
        }),
    ],
  ])('in %s limits only routes where the guard is bound by hand', async (_method, makeModule) => {
    @Module({ controllers: [GuardedController] })
    class FeatureModule {}
    const app = await start({
      imports: [makeModule(), FeatureModule],
      controllers: [PlainController, DecoratedController],
    });
    expect(await app.statuses(12, '/')).toEqual(Array(12).fill(200));
    expect((await app.get('/own')).fields).toEqual({});
    expect((await app.get('/guarded')).remaining).toBe('"all";r=8, "default";r=1');
    expect(await app.statuses(2, '/guarded')).toEqual([200, 429]);
  });

  it('does not stop a guard bound by hand from counting once next to the global one', async () => {
    @Controller('twice')
    @UseGuards(RateLimitGuard)
    class TwiceController {
      @Get()
      @UseGuards(RateLimitGuard, RateLimitGuard)
      @RateLimit('3/minute')
      get() {
        return '';
      }
    }
    const app = await start(limited([TwiceController], { limits: [{ name: 'all', limits: '9/minute' }] }));
    expect((await app.get('/twice')).remaining).toBe('"all";r=8, "default";r=2');
    expect((await app.get('/twice')).remaining).toBe('"all";r=7, "default";r=1');
    expect(await app.statuses(2, '/twice')).toEqual([200, 429]);
  });
});

describeOverHttp('The providers of the module', (start) => {
  it('have a guard that tests can override', async () => {
    const canActivate = jest.fn<CanActivate['canActivate']>(() => true);
    const app = await start(limited([DecoratedController]), {
      override: (builder) => builder.overrideProvider(RateLimitGuard).useValue({ canActivate }),
    });
    expect(await app.statuses(4, '/own')).toEqual([200, 200, 200, 200]);
    expect(canActivate).toHaveBeenCalledTimes(4);
  });

  it('have a storage that can be injected', async () => {
    const clock = new ManualClock();
    const storage = new MemoryStorage({ clock });
    @Controller('storage')
    class StorageController {
      constructor(@InjectRateLimitStorage() private readonly injected: Storage) {}

      @Get()
      same() {
        return { same: this.injected === storage };
      }
    }
    const app = await start(limited([StorageController], { storage }));
    expect((await app.get('/storage')).body).toEqual({ same: true });
    expect(app.nest.get(RATE_LIMIT_STORAGE)).toBe(storage);
  });

  it('open the storage of a URI, with the key prefix', async () => {
    const app = await start({
      imports: [RateLimitModule.forRoot({ storage: 'memory://', keyPrefix: 'shop' })],
    });
    const storage = app.nest.get<Storage>(RATE_LIMIT_STORAGE);
    expect(storage).toBeInstanceOf(MemoryStorage);
    expect(storage.keyPrefix).toBe('shop');
  });

  it('keep counts in memory when no storage is given', async () => {
    const app = await start({ imports: [RateLimitModule.forRoot()] });
    const storage = app.nest.get<Storage>(RATE_LIMIT_STORAGE);
    expect(storage).toBeInstanceOf(MemoryStorage);
    expect(storage.keyPrefix).toBe('nestjs-limits');
  });

  it.each([
    ['fixed-window', '40'],
    ['fixed-window-elastic-expiry', '60'],
    ['moving-window', '40'],
    ['sliding-window-counter', '41'],
    ['token-bucket', '10'],
  ] as const)('count by the strategy of the module if none is declared: %s', async (strategy, retryAfter) => {
    const clock = new ManualClock();
    const app = await start(limited([DecoratedController], { strategy }, clock));
    expect((await app.get('/own')).remaining).toBe('"default";r=1');
    clock.advance(20_000);
    expect((await app.get('/own')).status).toBe(200);
    const refused = await app.get('/own');
    expect([refused.status, refused.fields['retry-after']]).toEqual([429, retryAfter]);
    clock.advance(Number(retryAfter) * 1000);
    expect((await app.get('/own')).status).toBe(200);
  });
});

describeOverHttp('On shutdown', (start) => {
  it('the module closes the storage that it opened', async () => {
    const app = await start({ imports: [RateLimitModule.forRoot()], controllers: [DecoratedController] });
    const storage = app.nest.get<Storage>(RATE_LIMIT_STORAGE);
    expect(storage.check()).toBe(true);
    await app.close();
    expect(storage.check()).toBe(false);
    await app.close();
  });

  it('the module leaves a storage open that it was given', async () => {
    const storage = new MemoryStorage();
    const app = await start(limited([DecoratedController], { storage }));
    await app.close();
    expect(storage.check()).toBe(true);
    storage.close();
  });

  it.each([
    [
      'throws',
      () => {
        throw new Error('socket gone');
      },
    ],
    ['rejects', async () => Promise.reject(new Error('socket gone'))],
  ])(
    'a storage that fails to close is logged, and the application still shuts down: it %s',
    async (_how, fail) => {
      const prototype: Storage = MemoryStorage.prototype;
      const close = jest.spyOn(prototype, 'close').mockImplementationOnce(fail);
      try {
        const app = await start({ imports: [RateLimitModule.forRoot()] });
        await app.close();
        expect(close).toHaveBeenCalledTimes(1);
        expect(app.log.errors).toEqual(['Closing MemoryStorage failed: socket gone']);
      } finally {
        close.mockRestore();
      }
    },
  );
});

describeOverHttp('A second configuration of the module', (start) => {
  const error = new ConfigurationError(
    'RateLimitModule is configured 2 times in one application. Each would count in a storage of its own, and a service would see ' +
      'only its own. Call forRoot or forRootAsync once, in the root module: other modules need no import, since it is global. ' +
      'With isGlobal: false, keep what it returns in a constant, and import that constant wherever it is needed.',
  );
  const configured = {
    forRoot: () => RateLimitModule.forRoot({ limits: '9/minute' }),
    'forRoot that is not global': () => RateLimitModule.forRoot({ isGlobal: false }),
    forRootAsync: () => RateLimitModule.forRootAsync({ useFactory: () => ({ limits: '9/minute' }) }),
  };
  const names = Object.keys(configured) as (keyof typeof configured)[];

  it.each(names.flatMap((one) => names.map((other) => [one, other] as const)))(
    'stops the start: %s and %s of two modules',
    async (one, other) => {
      @Module({ imports: [configured[one]()] })
      class UsersModule {}
      @Module({ imports: [configured[other]()] })
      class OrdersModule {}
      await expect(start({ imports: [UsersModule, OrdersModule] })).rejects.toThrow(error);
    },
  );

  it('stops the start before it connects to a store', async () => {
    const opened: string[] = [];
    const asking = (name: string): DynamicModule =>
      RateLimitModule.forRootAsync({
        useFactory: () => ({
          get storage() {
            opened.push(name);
            return 'memory://';
          },
        }),
      });
    const metadata = { imports: [asking('one'), asking('two')] };
    await expect(Test.createTestingModule(metadata).compile()).rejects.toThrow(error);
    expect(opened).toEqual([]);
  });

  it('stops a lazy-loaded module, and the application keeps running', async () => {
    const app = await start({ imports: [RateLimitModule.forRoot()], controllers: [DecoratedController] });
    @Module({ imports: [RateLimitModule.forRoot()] })
    class LazyModule {}
    await expect(app.nest.get(LazyModuleLoader).load(() => LazyModule)).rejects.toThrow(error);
    expect((await app.get('/own')).remaining).toBe('"default";r=1');
  });

  it('is none if one configuration is imported in several places', async () => {
    const clock = new ManualClock();
    const limits = RateLimitModule.forRoot({
      storage: new MemoryStorage({ clock }),
      limits: [{ name: 'all', limits: '9/minute' }],
      isGlobal: false,
    });
    @Module({ imports: [limits] })
    class UsersModule {}
    @Module({ imports: [limits, UsersModule], controllers: [DecoratedController] })
    class OrdersModule {}
    const app = await start({ imports: [UsersModule, OrdersModule, limits] });
    expect((await app.get('/own')).remaining).toBe('"all";r=8, "default";r=1');
  });

  it('is none if one process has several applications', async () => {
    for (let application = 0; application < 3; application++) {
      const app = await start(
        limited([DecoratedController], { limits: [{ name: 'all', limits: '9/minute' }] }),
      );
      expect((await app.get('/own')).remaining).toBe('"all";r=8, "default";r=1');
    }
  });
});

describeOverHttp('A lazy-loaded configuration of the module', (start) => {
  const lazy = (imported: DynamicModule): (() => DynamicModule) => {
    class LazyModule {}
    return () => ({ module: LazyModule, imports: [imported] });
  };

  it.each<[string, DynamicModule]>([
    ['forRoot', RateLimitModule.forRoot({ limits: '1/minute' })],
    ['forRoot that is not global', RateLimitModule.forRoot({ limits: '1/minute', isGlobal: false })],
    ['forRootAsync', RateLimitModule.forRootAsync({ useFactory: () => ({ limits: '1/minute' }) })],
  ])('is refused, since its guard would limit no request: %s', async (_how, imported) => {
    const app = await start({ controllers: [PlainController] });
    await expect(app.nest.get(LazyModuleLoader).load(lazy(imported))).rejects.toThrow(
      new ConfigurationError(
        'RateLimitModule is loaded by LazyModuleLoader, after Nest has bound the guards of the application, so that it would limit no ' +
          'request. Import it into the root module. If it only serves limits by hand, set guard: false.',
      ),
    );
    expect(await app.statuses(2, '/')).toEqual([200, 200]);
  });

  it('limits by hand with guard: false', async () => {
    const app = await start({ controllers: [PlainController] });
    const module = await app.nest.get(LazyModuleLoader).load(lazy(RateLimitModule.forRoot({ guard: false })));
    const limiter = module.get(RateLimiterService, { strict: false });
    expect([await limiter.hit('1/minute', ['ann']), await limiter.hit('1/minute', ['ann'])]).toEqual([
      true,
      false,
    ]);
  });
});
