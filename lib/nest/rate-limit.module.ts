import {
  ConfigurableModuleBuilder,
  Inject,
  Injectable,
  Module,
  Scope,
  type ConfigurableModuleAsyncOptions,
  type DynamicModule,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
  type OnModuleInit,
  type Provider,
} from '@nestjs/common';
import { ApplicationConfig, ModuleRef } from '@nestjs/core';
import { ConfigurationError } from '../common/errors.js';
import { messageOf } from '../common/describe.js';
import { shownByName } from '../common/inspection.js';
import { RateLimitEvents } from '../observability/rate-limit-events.js';
import type { DecidingStorage } from '../resilience/resilient-storage.js';
import type { Storage } from '../core/storage.js';
import { withTimeout } from '../common/time.js';
import { ConnectionLimits } from './request/connection-limits.js';
import { ClientAddresses } from './identities/client-addresses.js';
import { IdentitySources } from './identities/identity-sources.js';
import { IdentityWarnings } from './identities/identity-warnings.js';
import { LateUserDetector } from './identities/late-user-detector.js';
import { InjectedFunctions } from './options/user-functions.js';
import { Plans } from './request/plans.js';
import { GlobalRateLimitGuard, RateLimitGuard } from './rate-limit.guard.js';
import type { RateLimitModuleExtras, RateLimitModuleOptions } from './options/rate-limit.options.js';
import {
  CONNECTION_LIMITS,
  DECIDING_STORAGE,
  RATE_LIMIT_OPTIONS,
  RATE_LIMIT_STORAGE,
  STORE_HEALTH,
} from './options/rate-limit.tokens.js';
import { RateLimiterService } from './rate-limiter.service.js';
import { RequestHits } from './request/request-hits.js';
import { RequestLimiter } from './request/request-limiter.js';
import { Reservations } from './request/reservations.js';
import { assertAsyncOptions, resolveOptions, type ResolvedOptions } from './options/resolve-options.js';
import { logger, Warnings } from './options/warnings.js';
import { PolicyDirectory } from './routes/policy-directory.js';
import { RoutePolicies } from './routes/route-policies.js';
import { RouteRules } from './routes/route-rules.js';
import { UnboundGuardDetector } from './routes/unbound-guard-detector.js';
import { assertReady, decidingStorage, openStorage } from './storage/module-storage.js';
import { StoreHealth } from './storage/store-health.js';
import { StoreLog } from './storage/store-log.js';
import { Transports } from './transports/transports.js';

const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN } =
  new ConfigurableModuleBuilder<RateLimitModuleOptions>({ moduleName: 'RateLimit' })
    .setClassMethodName('forRoot')
    .setFactoryMethodName('createRateLimitOptions')
    .setExtras<RateLimitModuleExtras>({ isGlobal: true, guard: true }, (definition, { isGlobal, guard }) => ({
      ...definition,
      global: isGlobal ?? true,
      providers: [...(definition.providers ?? []), ...((guard ?? true) ? [FIRST_GUARD] : [])],
    }))
    .build();

/**
 * Guards every route, before all other global guards: as the application makes its providers, and so before Nest binds those of the
 * token `APP_GUARD`, in the order of their modules. What an authenticating guard refuses would not be counted otherwise.
 */
const FIRST_GUARD: Provider = {
  provide: Symbol('first guard'),
  useFactory: (application: ApplicationConfig, guard: GlobalRateLimitGuard) =>
    application.useGlobalGuards(guard),
  inject: [ApplicationConfig, GlobalRateLimitGuard],
};

/**
 * Stops the start where the module would be made anew per request, since its options or its storage are: nobody would make it then,
 * and nothing would be limited. It injects nothing that could be so itself.
 */
@Injectable()
class ScopeCheck implements OnModuleInit {
  constructor(@Inject(ModuleRef) private readonly moduleRef: ModuleRef) {}

  onModuleInit(): void {
    if (this.moduleRef.introspect(GlobalRateLimitGuard).scope !== Scope.REQUEST) return;
    throw new ConfigurationError(
      'RateLimitModule is made once, before any request, but what its options or its storage are made of is request-scoped. Inject ' +
        'singletons into its factory, and let functions such as key, plan, limits and skip read the request from the context they are given.',
    );
  }
}

/** Ms that closing the store may hold up the end of the application. */
const SHUTDOWN_TIMEOUT_MS = 2000;

/** The argument of `forRootAsync`. */
export type RateLimitModuleAsyncOptions = ConfigurableModuleAsyncOptions<
  RateLimitModuleOptions,
  'createRateLimitOptions'
> &
  RateLimitModuleExtras;

/**
 * Limits the rates of an application's routes.
 *
 * @example
 * ```ts
 * import { Module } from '@nestjs/common';
 * import { RateLimitModule } from 'nestjs-limits';
 *
 * @Module({
 *   imports: [RateLimitModule.forRoot({ storage: 'memory://', strategy: 'sliding-window-counter' })],
 * })
 * class AppModule {}
 * ```
 */
@Module({
  providers: [
    {
      provide: RATE_LIMIT_OPTIONS,
      useFactory: resolveOptions,
      inject: [MODULE_OPTIONS_TOKEN],
    },
    {
      provide: RATE_LIMIT_STORAGE,
      useFactory: openStorage,
      inject: [RATE_LIMIT_OPTIONS],
    },
    {
      provide: DECIDING_STORAGE,
      useFactory: decidingStorage,
      inject: [RATE_LIMIT_STORAGE, RATE_LIMIT_OPTIONS, RateLimitEvents, STORE_HEALTH, StoreLog],
    },
    ClientAddresses,
    IdentitySources,
    InjectedFunctions,
    IdentityWarnings,
    LateUserDetector,
    Plans,
    PolicyDirectory,
    RateLimitEvents,
    RequestHits,
    RequestLimiter,
    Reservations,
    RoutePolicies,
    RouteRules,
    ScopeCheck,
    StoreLog,
    Transports,
    UnboundGuardDetector,
    Warnings,
    { provide: CONNECTION_LIMITS, useClass: ConnectionLimits },
    { provide: STORE_HEALTH, useClass: StoreHealth },
    GlobalRateLimitGuard,
    RateLimitGuard,
    RateLimiterService,
  ],
  // What guard, middleware, interceptor, gateways and health checks inject, which are made in the modules that bind them, is
  // exported too.
  exports: [
    RATE_LIMIT_STORAGE,
    CONNECTION_LIMITS,
    STORE_HEALTH,
    RequestLimiter,
    Reservations,
    Transports,
    RateLimitGuard,
    RateLimiterService,
  ],
})
@shownByName
export class RateLimitModule
  extends ConfigurableModuleClass
  implements OnApplicationBootstrap, OnApplicationShutdown
{
  constructor(
    @Inject(RATE_LIMIT_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(RATE_LIMIT_STORAGE) private readonly store: Storage,
    @Inject(DECIDING_STORAGE) private readonly storage: DecidingStorage,
  ) {
    super();
  }

  /**
   * Limits by the options given.
   *
   * @throws ConfigurationError while the application starts, when an option is unknown, misplaced or wrong
   */
  static override forRoot(options: RateLimitModuleOptions & RateLimitModuleExtras = {}): DynamicModule {
    return super.forRoot(options);
  }

  /**
   * Takes the options from a factory, a class or a provider. `isGlobal` and `guard` stand beside it.
   *
   * @throws ConfigurationError when an option stands beside the factory instead of in what it returns
   */
  static override forRootAsync(options: RateLimitModuleAsyncOptions): DynamicModule {
    assertAsyncOptions(options);
    return super.forRootAsync(options);
  }

  /**
   * Asks the store whether it is there, where that matters; else says that it is not, and goes on.
   *
   * @throws StorageError when the application must not start without the store, and it does not answer
   */
  async onApplicationBootstrap(): Promise<void> {
    const { resilience } = this.options;
    if (resilience === false) return;
    const ready = assertReady(this.store);
    if (!resilience.startWithoutStore) await ready;
    else
      ready.catch((error: unknown) => logger.warn(`${messageOf(error)} The application starts without it.`));
  }

  /** Closes what this module opened. Never throws: the application is going down in good order. */
  async onApplicationShutdown(): Promise<void> {
    try {
      await withTimeout(SHUTDOWN_TIMEOUT_MS, async () => this.storage.close());
    } catch (error) {
      logger.error(`Closing ${this.storage} failed: ${messageOf(error)}`);
    }
  }
}
