import type { ExecutionContext, HttpException } from '@nestjs/common';
import { chain, type Awaitable } from '../../common/awaitable.js';
import type { Transport } from '../transports/transport.js';

/** Throws the exception of a refusal in the form of the transport. */
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
