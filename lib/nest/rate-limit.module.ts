import {
  ConfigurableModuleBuilder,
  Inject,
  Module,
  type ConfigurableModuleAsyncOptions,
  Optional,
  type DynamicModule,
  type BeforeApplicationShutdown,
  type NestModule,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
} from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { shownByName } from '../common/inspection.js';
import { RateLimitEvents } from '../observability/rate-limit-events.js';
import type { DecidingStorage } from '../resilience/resilient-storage.js';
import { countsInProcess } from '../storages/memory/memory.storage.js';
import type { Storage } from '../core/storage.js';
import { queueOf } from '../limiter/fair-queue.js';
import { releaseAllSlots } from '../limiter/held-slots.js';
import { ConnectionLimits } from './request/connection-limits.js';
import { ClientAddresses } from './identities/client-addresses.js';
import { IdentitySources } from './identities/identity-sources.js';
import { IdentityWarnings } from './identities/identity-warnings.js';
import { LateUserDetector } from './identities/late-user-detector.js';
import { InjectedFunctions } from './options/user-functions.js';
import { Plans } from './request/plans.js';
import { FIRST_GUARD, GlobalRateLimitGuard, RateLimitGuard } from './rate-limit.guard.js';
import type { RateLimitModuleExtras, RateLimitModuleOptions } from './options/rate-limit.options.js';
import {
  CONNECTION_LIMITS,
  DECIDING_STORAGE,
  POLICY_DIRECTORY,
  RATE_LIMIT_EVENTS,
  RATE_LIMIT_OPTIONS,
  RATE_LIMIT_STORAGE,
  RATE_LIMITER,
  ROUTE_RULES,
  STORE_HEALTH,
} from './options/rate-limit.tokens.js';
import { DROPPED_MESSAGES } from './dropped-message.filter.js';
import { RateLimiterService } from './rate-limiter.service.js';
import { DeniedClients } from './request/denied-clients.js';
import { Refusals } from './request/refusals.js';
import { RequestDecider } from './request/request-decider.js';
import { RequestHits } from './request/request-hits.js';
import { RequestLimiter } from './request/request-limiter.js';
import { RequestPolicies } from './request/request-policies.js';
import { ReferencedHits } from './request/referenced-hits.js';
import { Reservations } from './request/reservations.js';
import {
  assertAsyncOptions,
  assertNotOfThrottler,
  resolveExtras,
  resolveOptions,
  type ResolvedOptions,
} from './options/resolve-options.js';
import { assertConfiguredOnce, assertLoadedAtStart } from './options/single-import.js';
import { ScopeCheck } from './options/scope-check.js';
import { Warnings } from './options/warnings.js';
import { DeclarationCheck } from './routes/declaration-check.js';
import { GuardOrderCheck } from './guard-order-check.js';
import { GuardedCallBinding } from './routes/guarded-call-binding.js';
import { MountedPaths } from './routes/mounted-paths.js';
import { PolicyDirectory } from './routes/policy-directory.js';
import { RouteIds } from './routes/route-ids.js';
import { RoutePolicies } from './routes/route-policies.js';
import { RouteRules } from './routes/route-rules.js';
import { UnboundGuardDetector } from './routes/unbound-guard-detector.js';
import { SharedSettingsService } from './settings/shared-settings.js';
import { closeOnShutdown } from './storage/close-on-shutdown.js';
import { decidingStorage, openStorage } from './storage/module-storage.js';
import { assertReady } from './storage/start-check.js';
import { StoreHealth } from './storage/store-health.js';
import { StoreLog } from './storage/store-log.js';
import { RmqServers } from './transports/rmq-servers.js';
import { Transports } from './transports/transports.js';

const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN } =
  new ConfigurableModuleBuilder<RateLimitModuleOptions>({ moduleName: 'RateLimit' })
    .setClassMethodName('forRoot')
    .setFactoryMethodName('createRateLimitOptions')
    .setExtras<RateLimitModuleExtras>({ isGlobal: true, guard: true }, (definition, extras) => {
      const { isGlobal, guard } = resolveExtras(extras);
      return {
        ...definition,
        global: isGlobal,
        providers: [...(definition.providers ?? []), ...(guard ? [FIRST_GUARD, DeniedClients] : [])],
      };
    })
    .build();

/** The argument of `forRootAsync`. */
export type RateLimitModuleAsyncOptions = ConfigurableModuleAsyncOptions<
  RateLimitModuleOptions,
  'createRateLimitOptions'
> &
  RateLimitModuleExtras;

/**
 * Limits the request rates of an application's routes.
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
      // Before anything opens a storage.
      useFactory: (options: unknown, modules: ModulesContainer) => {
        assertConfiguredOnce(RateLimitModule, modules);
        assertLoadedAtStart(RateLimitModule, modules, DeniedClients);
        return resolveOptions(options);
      },
      inject: [MODULE_OPTIONS_TOKEN, ModulesContainer],
    },
    { provide: RATE_LIMIT_STORAGE, useFactory: openStorage, inject: [RATE_LIMIT_OPTIONS] },
    {
      provide: DECIDING_STORAGE,
      useFactory: decidingStorage,
      inject: [RATE_LIMIT_STORAGE, RATE_LIMIT_OPTIONS, RATE_LIMIT_EVENTS, STORE_HEALTH, StoreLog],
    },
    ClientAddresses,
    DeclarationCheck,
    GuardOrderCheck,
    GuardedCallBinding,
    IdentitySources,
    InjectedFunctions,
    IdentityWarnings,
    LateUserDetector,
    MountedPaths,
    Plans,
    PolicyDirectory,
    ReferencedHits,
    Refusals,
    RequestDecider,
    RequestHits,
    RequestLimiter,
    RequestPolicies,
    Reservations,
    RmqServers,
    RouteIds,
    RoutePolicies,
    RouteRules,
    ScopeCheck,
    SharedSettingsService,
    StoreLog,
    Transports,
    UnboundGuardDetector,
    Warnings,
    { provide: CONNECTION_LIMITS, useClass: ConnectionLimits },
    { provide: RATE_LIMIT_EVENTS, useClass: RateLimitEvents },
    { provide: STORE_HEALTH, useClass: StoreHealth },
    { provide: POLICY_DIRECTORY, useExisting: PolicyDirectory },
    { provide: RATE_LIMITER, useExisting: RateLimiterService },
    { provide: ROUTE_RULES, useExisting: RouteRules },
    DROPPED_MESSAGES,
    GlobalRateLimitGuard,
    RateLimitGuard,
    RateLimiterService,
  ],
  // Includes the dependencies of guard, middleware, interceptor, gateways, health checks and console, which Nest creates in other modules.
  exports: [
    RATE_LIMIT_STORAGE,
    CONNECTION_LIMITS,
    STORE_HEALTH,
    POLICY_DIRECTORY,
    RATE_LIMIT_EVENTS,
    RATE_LIMITER,
    ROUTE_RULES,
    DECIDING_STORAGE,
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
  implements NestModule, OnApplicationBootstrap, BeforeApplicationShutdown, OnApplicationShutdown
{
  constructor(
    @Inject(RATE_LIMIT_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(RATE_LIMIT_STORAGE) private readonly store: Storage,
    @Inject(DECIDING_STORAGE) private readonly storage: DecidingStorage,
    @Inject(PolicyDirectory) private readonly directory: PolicyDirectory,
    @Inject(StoreLog) private readonly log: StoreLog,
    @Inject(GuardOrderCheck) private readonly guardOrder: GuardOrderCheck,
    /** Absent without the guard of the module. */
    @Optional() @Inject(DeniedClients) private readonly deniedClients?: DeniedClients,
  ) {
    super();
  }

  /**
   * Configures the module, once in an application.
   *
   * @throws ConfigurationError while the application starts, for an unknown, misplaced or invalid option, or a second configuration
   */
  static override forRoot(options: RateLimitModuleOptions & RateLimitModuleExtras = {}): DynamicModule {
    assertNotOfThrottler(options);
    return super.forRoot(options);
  }

  /**
   * Configures the module with options from a factory, a class or a provider. `isGlobal` and `guard` are given directly.
   *
   * @throws ConfigurationError for an option that belongs into the result of the factory
   */
  static override forRootAsync(options: RateLimitModuleAsyncOptions): DynamicModule {
    assertAsyncOptions(options);
    return super.forRootAsync(options);
  }

  /** Binds the middleware for denied clients: Nest calls this before it binds routes, which GraphQL does later. */
  configure(): void {
    this.deniedClients?.bindMiddleware();
  }

  /**
   * Checks that the store can do what the policies will do. With `startWithoutStore`, logs a warning instead of a failure and
   * does not wait.
   *
   * @throws StorageError if the store cannot count and the application must not start without it
   */
  async onApplicationBootstrap(): Promise<void> {
    this.guardOrder.check();
    const { resilience, strategy } = this.options;
    if (resilience === false || countsInProcess(this.store)) return;
    const ready = assertReady(this.store, this.directory.policies, strategy);
    if (!resilience.startWithoutStore) await ready;
    else ready.catch((error: unknown) => this.log.notReady(error));
  }

  /** Refuses the requests that wait, since a server closes only once all requests are answered. */
  beforeApplicationShutdown(): void {
    queueOf(this.storage).close();
  }

  /** Releases the slots that requests still hold, and closes the clients that this module opened. Logs failures instead of throwing, so that the shutdown continues. */
  onApplicationShutdown(): Promise<void> {
    return closeOnShutdown(this.storage, () => releaseAllSlots(this.storage));
  }
}
