import { Inject, Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import type { Awaitable } from '../common/awaitable.js';
import { RequestLimiter } from './request/request-limiter.js';
import { shownByName } from '../common/inspection.js';

/**
 * Counts a request against its limits, all of them in one call of the storage, and refuses it with 429 when one of them does.
 * A request counts once per limit, however often the guard is bound. Answers synchronously over memory storage.
 *
 * The module binds a guard of its own to every handler, which comes before all others. Bind this one behind your own guards for
 * limits of the phase `'afterAuth'`, or everywhere you want limits with `guard: false`.
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
   * Counts the request; `RateLimitExceededException`, or what `errorFactory` makes, when a limit refuses it.
   *
   * @param phase the latest phase whose limits count
   */
  canActivate(
    context: ExecutionContext,
    phase: 'beforeAuth' | 'afterAuth' = 'afterAuth',
  ): Awaitable<boolean> {
    return this.limiter.check(context, phase);
  }
}

/** The guard of every handler, which comes before those that authenticate. Does without, where a test overrides the guard. */
@Injectable()
@shownByName
export class GlobalRateLimitGuard implements CanActivate {
  constructor(@Inject(RateLimitGuard) private readonly guard: RateLimitGuard) {}

  canActivate(context: ExecutionContext): Awaitable<boolean> {
    return this.guard.canActivate(context, 'beforeAuth');
  }
}
