import { HttpException } from '@nestjs/common';
import { attempt, isPromise, type Awaitable } from '../../common/awaitable.js';
import { messageOf } from '../../common/describe.js';
import { ResolverError } from '../../common/errors.js';

/**
 * Calls a function of the application so that what it throws says which function of which place that was; an `HttpException`
 * is passed on. The failure is always a rejection, never thrown at once: what others have begun is awaited all the same.
 */
export function callUserFunction<T>(where: string, option: string, call: () => Awaitable<T>): Awaitable<T> {
  const fail = (cause: unknown): Promise<never> =>
    Promise.reject(
      cause instanceof HttpException || cause instanceof ResolverError
        ? cause
        : new ResolverError(`${where}: the function "${option}" failed: ${messageOf(cause)}`, { cause }),
    );
  const answer = attempt(call);
  return isPromise(answer) ? Promise.resolve(answer).catch(fail) : answer;
}
