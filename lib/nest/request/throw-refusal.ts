import type { ExecutionContext, HttpException } from '@nestjs/common';
import { chain, type Awaitable } from '../../common/awaitable.js';
import type { Transport } from '../transports/transport.js';

/** Refuses a request: throws an exception as its transport expects it. */
export function throwRefusal(
  transport: Transport,
  exception: HttpException,
  body: object,
  context: ExecutionContext,
): Awaitable<never> {
  return chain(transport.refusal(exception, body, context), (error) => {
    throw error;
  });
}
