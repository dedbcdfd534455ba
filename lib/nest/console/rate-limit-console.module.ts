import { Inject, Module, type DynamicModule, type OnModuleInit } from '@nestjs/common';
import { ApplicationConfig, ModulesContainer } from '@nestjs/core';
import { shownByName } from '../../common/inspection.js';
import { ROUTE_RULES } from '../options/rate-limit.tokens.js';
import { modulePathOf } from '../routes/module-path.js';
import type { RouteRules } from '../routes/route-rules.js';
import { joinPaths } from '../transports/join-paths.js';
import { CONSOLE_OPTIONS, ConsoleAccessGuard } from './console-access.guard.js';
import { ConsoleActions } from './console-actions.js';
import { consoleController } from './console.controller.js';
import { ConsoleFeed } from './console-feed.js';
import { ConsolePolicies } from './console-policies.js';
import { ConsoleRecorder } from './console-recorder.js';
import {
  resolveConsoleOptions,
  type RateLimitConsoleOptions,
  type ResolvedConsoleOptions,
} from './console.options.js';

/**
 * Serves a page that shows the policies of this process, the identities that they refuse, and the state of the store, live. An
 * operator looks up, clears, blocks and unblocks identities there. Needs `RateLimitModule`. The page itself is exempt from limits.
 *
 * @example
 * ```ts
 * import { Injectable, Module, type CanActivate, type ExecutionContext } from '@nestjs/common';
 * import { RateLimitModule } from 'nestjs-limits';
 * import { RateLimitConsoleModule } from 'nestjs-limits/console';
 *
 * @Injectable()
 * class AdminGuard implements CanActivate {
 *   canActivate(context: ExecutionContext) {
 *     const { user } = context.switchToHttp().getRequest<{ user?: { isAdmin: boolean } }>();
 *     return user?.isAdmin ?? false;
 *   }
 * }
 *
 * @Module({
 *   imports: [RateLimitModule.forRoot(), RateLimitConsoleModule.forRoot({ path: '/rate-limits', guards: [AdminGuard] })],
 * })
 * class AppModule {}
 * ```
 */
@Module({})
@shownByName
export class RateLimitConsoleModule implements OnModuleInit {
  constructor(
    @Inject(CONSOLE_OPTIONS) private readonly options: ResolvedConsoleOptions,
    @Inject(ROUTE_RULES) private readonly rules: Pick<RouteRules, 'exempt'>,
    @Inject(ApplicationConfig) private readonly application: ApplicationConfig,
    @Inject(ModulesContainer) private readonly modules: ModulesContainer,
  ) {}

  /** Exempts the page where `applyRateLimits` applies rules. */
  onModuleInit(): void {
    this.rules.exempt(joinPaths(this.#path(), '**'));
  }

  /** Returns the path of the page: below that of `RouterModule`, and below the global prefix unless it excludes the page. */
  #path(): string {
    const path = joinPaths(modulePathOf(RateLimitConsoleModule, this.modules) ?? '', this.options.path);
    const { exclude = [] } = this.application.getGlobalPrefixOptions();
    const isExcluded = exclude.some(({ pathRegex }) => pathRegex.test(path));
    return isExcluded ? path : joinPaths(this.application.getGlobalPrefix(), path);
  }

  /**
   * Configures the console.
   *
   * @throws ConfigurationError without guards, unless `open` is true; for an unknown or invalid option
   */
  static forRoot(options: RateLimitConsoleOptions): DynamicModule {
    const resolved = resolveConsoleOptions(options);
    return {
      module: RateLimitConsoleModule,
      imports: resolved.imports,
      controllers: [consoleController(resolved)],
      providers: [
        { provide: CONSOLE_OPTIONS, useValue: resolved },
        ConsoleAccessGuard,
        ConsoleActions,
        ConsoleFeed,
        ConsolePolicies,
        ConsoleRecorder,
      ],
    };
  }
}
