import { Inject, Injectable, type NestMiddleware } from '@nestjs/common';
import { chain, type Awaitable } from '../common/awaitable.js';
import { HandlerContext } from './transports/handler-context.js';
import { RequestLimiter } from './request/request-limiter.js';
import { shownByName } from '../common/inspection.js';

/**
 * Applies the module's rules before guards, and to requests that reach no handler, such as those that end with 404. A request
 * that the guard sees later counts once.
 *
 * @example
 * ```ts
 * import { Module, type MiddlewareConsumer, type NestModule } from '@nestjs/common';
 * import { RateLimitMiddleware, RateLimitModule } from 'nestjs-limits';
 *
 * @Module({
 *   imports: [RateLimitModule.forRoot({ rules: [{ id: 'all', path: '/**', limits: '600/minute' }] })],
 * })
 * class AppModule implements NestModule {
 *   configure(consumer: MiddlewareConsumer) {
 *     consumer.apply(RateLimitMiddleware).forRoutes('*path');
 *   }
 * }
 * ```
 */
@Injectable()
@shownByName
export class RateLimitMiddleware implements NestMiddleware {
  constructor(@Inject(RequestLimiter) private readonly limiter: RequestLimiter) {}

  use(request: unknown, response: unknown, next: () => void): Awaitable<void> {
    const context = new HandlerContext(
      'http',
      [request, response, next],
      RateLimitMiddleware,
      () => undefined,
    );
    return chain(this.limiter.checkPath(context), () => next());
  }
}
