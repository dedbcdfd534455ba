import { HttpException, type ExecutionContext, type Type } from '@nestjs/common';
import { attempt, isPromise, type Awaitable } from '../../common/awaitable.js';
import { messageOf } from '../../common/describe.js';
import { logger } from '../options/warnings.js';
import { HandlerContext } from '../transports/handler-context.js';
import { isAnswered } from '../transports/http.transport.js';

/** A check of a request before it is routed. Returns true to continue. */
export type EarlyCheck = (context: ExecutionContext) => Awaitable<boolean>;

type Middleware = (request: unknown, response: unknown, next: (error?: unknown) => void) => void;

/**
 * Creates a middleware of a check.
 *
 * @param target the class that the check's context names
 */
export function middlewareOf(target: Type, check: EarlyCheck): Middleware {
  return (request, response, next) => {
    // Express 4 does not handle a rejected promise of a middleware, so that errors go to `next`.
    const admitted = attempt(() => checkEarly(target, check, [request, response, next]));
    if (isPromise(admitted))
      void admitted.then(
        (isAdmitted) => isAdmitted && next(),
        (error: unknown) => next(withStatus(error)),
      );
    else if (admitted) next();
  };
}

/**
 * Returns true to continue. Throws nothing once another middleware has answered.
 *
 * @param args the arguments of the middleware
 */
export function checkEarly(target: Type, check: EarlyCheck, args: unknown[]): Awaitable<boolean> {
  const context = new HandlerContext('http', args, target, () => undefined);
  const checked = check(context);
  if (!isPromise(checked)) return checked;
  return checked.catch((error: unknown) => {
    if (!isAnswered(context)) throw error;
    // Nest 10 on Fastify cannot handle an error of a request that is answered.
    if (!(error instanceof HttpException)) logger.error(`Checking limits failed: ${messageOf(error)}`);
    return false;
  });
}

/** Adds the status as other servers than Nest read it: Mercurius answers the errors of its requests itself. */
function withStatus(error: unknown): unknown {
  return error instanceof HttpException && Object.isExtensible(error)
    ? Object.assign(error, { statusCode: error.getStatus() })
    : error;
}
