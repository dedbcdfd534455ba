import {
  HttpException,
  Inject,
  Injectable,
  type ExecutionContext,
  type INestApplication,
  type NestMiddleware,
} from '@nestjs/common';
import { attempt, chain, isPromise, type Awaitable } from '../common/awaitable.js';
import { messageOf } from '../common/describe.js';
import { ConfigurationError } from '../common/errors.js';
import { logger } from './options/warnings.js';
import { HandlerContext } from './transports/handler-context.js';
import { isAnswered } from './transports/http.transport.js';
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
    return chain(checkPath(this.limiter, contextOf(request, response, next)), (isAdmitted) => {
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
  const limiter = limiterOf(app);
  app.use((request: unknown, response: unknown, next: (error?: unknown) => void) => {
    // Express 4 does not handle a rejected promise of a middleware, so that errors go to `next`.
    const admitted = attempt(() => checkPath(limiter, contextOf(request, response, next)));
    if (isPromise(admitted)) void admitted.then((isAdmitted) => isAdmitted && next(), next);
    else if (admitted) next();
  });
}

/** Returns true to continue. Throws nothing once another middleware has answered. */
function checkPath(limiter: RequestLimiter, context: ExecutionContext): Awaitable<boolean> {
  const checked = limiter.checkPath(context);
  if (!isPromise(checked)) return checked;
  return checked.catch((error: unknown) => {
    if (!isAnswered(context)) throw error;
    // Nest 10 on Fastify cannot handle an error of a request that is answered.
    if (!(error instanceof HttpException)) logger.error(`Checking limits failed: ${messageOf(error)}`);
    return false;
  });
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

function contextOf(...args: unknown[]): ExecutionContext {
  return new HandlerContext('http', args, RateLimitMiddleware, () => undefined);
}
