import { Inject, Injectable, type INestApplication, type NestMiddleware } from '@nestjs/common';
import { chain, type Awaitable } from '../common/awaitable.js';
import { ConfigurationError } from '../common/errors.js';
import { checkEarly, middlewareOf, type EarlyCheck } from './request/middleware-of.js';
import { RequestLimiter } from './request/request-limiter.js';
import { RouteRules } from './routes/route-rules.js';
import { shownByName } from '../common/inspection.js';

/**
 * Applies the rules of the module to HTTP requests before they are routed. Bind it to every path with
 * {@link applyRateLimits}. `MiddlewareConsumer.apply` misses some requests: those outside a global
 * prefix, on some versions of Nest `GET /`, and on Express those whose body the parser rejects.
 */
@Injectable()
@shownByName
export class RateLimitMiddleware implements NestMiddleware {
  constructor(@Inject(RequestLimiter) private readonly limiter: RequestLimiter) {}

  use(request: unknown, response: unknown, next: () => void): Awaitable<void> {
    const checked = checkEarly(RateLimitMiddleware, checkOf(this.limiter), [request, response, next]);
    return chain(checked, (isAdmitted) => {
      if (isAdmitted) next();
    });
  }
}

/**
 * Applies the rules of the module to every HTTP request before it is routed: on any path, inside and
 * outside a global prefix, including requests that no route answers and requests whose body cannot be
 * parsed. A request that the guard sees later counts once. Works on Express and Fastify.
 *
 * Call it after `app.enableCors()` and after middleware that a `key` function depends on, and before
 * `app.listen()` or `app.init()`.
 *
 * @throws ConfigurationError when the application does not import `RateLimitModule`, or is already initialized
 * @example
 * ```ts
 * import { Module } from '@nestjs/common';
 * import { NestFactory } from '@nestjs/core';
 * import { applyRateLimits, RateLimitModule } from 'nestjs-limits';
 *
 * @Module({
 *   imports: [RateLimitModule.forRoot({ rules: [{ id: 'all', path: '/**', limits: '600/minute' }] })],
 * })
 * class AppModule {}
 *
 * const app = await NestFactory.create(AppModule);
 * applyRateLimits(app);
 * await app.listen(3000);
 * ```
 */
export function applyRateLimits(app: INestApplication): void {
  app.use(middlewareOf(RateLimitMiddleware, checkOf(limiterOf(app))));
}

function checkOf(limiter: RequestLimiter): EarlyCheck {
  return (context) => limiter.checkPath(context);
}

function limiterOf(app: INestApplication): RequestLimiter {
  let limiter: RequestLimiter;
  try {
    limiter = app.get(RequestLimiter, { strict: false });
  } catch (cause) {
    throw new ConfigurationError(
      'applyRateLimits needs RateLimitModule. Import it into the root module: RateLimitModule.forRoot({ rules: [...] }).',
      { cause },
    );
  }
  if (app.get(RouteRules, { strict: false }).isInitialized)
    throw new ConfigurationError(
      'applyRateLimits was called after the application was initialized: its routes come first then. ' +
        'Call it before app.init() and app.listen().',
    );
  return limiter;
}
