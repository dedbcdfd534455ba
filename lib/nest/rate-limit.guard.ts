import { Inject, Injectable, type CanActivate, type ExecutionContext, type Provider } from '@nestjs/common';
import { ApplicationConfig } from '@nestjs/core';
import type { Awaitable } from '../common/awaitable.js';
import { RequestLimiter } from './request/request-limiter.js';
import { shownByName } from '../common/inspection.js';

/**
 * Counts a request against all its limits in one call of the storage, and refuses it with 429 if one of them does. A request counts
 * once per limit, even if the guard is bound several times. Synchronous over memory storage.
 *
 * The module binds a global guard that runs before all others. Bind this one after your own guards for limits of the phase
 * `'afterAuth'`, or to each route to limit if the module has `guard: false`.
 *
 * @example
 * ```ts
 * import { Controller, Get, UseGuards, type CanActivate } from '@nestjs/common';
 * import { RateLimit, RateLimitGuard } from 'nestjs-limits';
 *
 * declare class AuthGuard implements CanActivate {
 *   canActivate(): boolean;
 * }
 *
 * @Controller()
 * @UseGuards(AuthGuard, RateLimitGuard)
 * class ReportsController {
 *   @Get('reports')
 *   @RateLimit('100/hour', { key: 'user', phase: 'afterAuth' })
 *   reports() {}
 * }
 * ```
 */
@Injectable()
@shownByName
export class RateLimitGuard implements CanActivate {
  constructor(@Inject(RequestLimiter) private readonly limiter: RequestLimiter) {}

  /**
   * Counts the request.
   *
   * @param phase the latest phase whose limits count
   * @throws RateLimitExceededException, or the error of `errorFactory`, if a limit refuses the request
   */
  canActivate(
    context: ExecutionContext,
    phase: 'beforeAuth' | 'afterAuth' = 'afterAuth',
  ): Awaitable<boolean> {
    return this.limiter.check(context, phase);
  }
}

/** Guards every handler before authentication. Calls {@link RateLimitGuard}, so that tests can override that one. */
@Injectable()
@shownByName
export class GlobalRateLimitGuard implements CanActivate {
  constructor(@Inject(RateLimitGuard) private readonly guard: RateLimitGuard) {}

  canActivate(context: ExecutionContext): Awaitable<boolean> {
    return this.guard.canActivate(context, 'beforeAuth');
  }
}

/**
 * Guards every handler before all other global guards, so that requests that an authenticating guard refuses count too. Registers
 * while Nest creates the providers, which is before it registers guards of the token `APP_GUARD` in the order of their modules.
 */
export const FIRST_GUARD: Provider = {
  provide: Symbol('first guard'),
  useFactory: (application: ApplicationConfig, guard: GlobalRateLimitGuard) =>
    application.useGlobalGuards(guard),
  inject: [ApplicationConfig, GlobalRateLimitGuard],
};
