import { HttpStatus, type ExecutionContext, type HttpException } from '@nestjs/common';
import type { RequestLike, Transport } from './transport.js';

/** What Apollo and Mercurius put into the context of an operation, as far as it leads to the HTTP request. */
interface OperationContext {
  readonly req?: RequestLike;
  readonly request?: RequestLike;
  readonly reply?: { readonly request?: RequestLike };
}

/**
 * Fields of GraphQL operations: each invocation of a resolver counts, so that aliases and batches are as many requests as they
 * look like. A response is of many fields, so that none of them sets header fields.
 */
export const graphqlTransport: Transport = {
  carrierOf: (context) => infoOf(context) ?? context.getArgs(),

  requestOf: (context) => requestOf(context),

  addressOf(context) {
    const ip = requestOf(context)?.ip;
    return typeof ip === 'string' ? ip : undefined;
  },

  /** GraphQL servers put the `extensions` of what was thrown into the error that the client sees. */
  refusal(exception: HttpException, body: object): Error {
    const code = HttpStatus[exception.getStatus()];
    return Object.assign(exception, { extensions: { code, ...body } });
  },
};

function requestOf(context: ExecutionContext): RequestLike | undefined {
  const { req, request, reply } = context.getArgByIndex<OperationContext | undefined>(2) ?? {};
  return req ?? request ?? reply?.request;
}

/** GraphQL.js makes one for each field of each operation that it resolves. */
function infoOf(context: ExecutionContext): object | undefined {
  return context.getArgByIndex<object | undefined>(3);
}
