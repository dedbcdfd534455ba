import { HttpException, Inject, Injectable, type NestMiddleware } from '@nestjs/common';
import { isPromise, type Awaitable } from '../common/awaitable.js';
import { messageOf } from '../common/describe.js';
import { logger } from './options/warnings.js';
import { HandlerContext } from './transports/handler-context.js';
import { isAnswered } from './transports/http.transport.js';
import { RequestLimiter } from './request/request-limiter.js';

/**
 * Applies the module's rules before guards, and to requests that reach no handler, for example those that end with 404. A request
 * that also reaches the guard counts once.
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
export class RateLimitMiddleware implements NestMiddleware {
  constructor(@Inject(RequestLimiter) private readonly limiter: RequestLimiter) {}

  use(request: unknown, response: unknown, next: () => void): Awaitable<void> {
    const context = new HandlerContext(
      'http',
      [request, response, next],
      RateLimitMiddleware,
      () => undefined,
    );
    const checked = this.limiter.checkPath(context);
    if (!isPromise(checked)) {
      next();
      return;
    }
    return checked.then(
      () => next(),
      (error: unknown) => {
        if (!isAnswered(context)) throw error;
        // Another middleware has answered. Nest 10 on Fastify cannot handle an error after that.
        if (!(error instanceof HttpException)) logger.error(`Checking limits failed: ${messageOf(error)}`);
      },
    );
  }
}
