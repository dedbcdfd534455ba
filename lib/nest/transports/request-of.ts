import type { ExecutionContext } from '@nestjs/common';
import type { RequestLike } from '../options/rate-limit.options.js';
import { transportOf } from './transports.js';

/**
 * Returns the request of a context of any kind, or `undefined` if it has none. Functions that read the request, such as `key`, `plan`
 * and `clientIp`, are called for every kind of context that is limited.
 *
 * - HTTP: the request of Express or Fastify
 * - GraphQL: the request that brought the operation; for subscriptions, the one that opened the connection
 * - WebSockets: `headers`, `user` and `session` of the connection
 * - gRPC: the metadata of the call as `headers`
 * - other microservices and other kinds of contexts: `undefined`
 *
 * @typeParam T properties of the request that the application knows of; they may be absent outside HTTP
 * @example
 * ```ts
 * import { RateLimitModule, requestOf } from 'nestjs-limits';
 *
 * const limits = RateLimitModule.forRoot({
 *   limits: [{ plans: { free: '100/hour', paid: '1000/hour' }, key: 'user', phase: 'afterAuth' }],
 *   plan: (context) => requestOf<{ user?: { plan: string } }>(context)?.user?.plan ?? 'free',
 * });
 * ```
 */
export function requestOf<T extends object = RequestLike>(
  context: ExecutionContext,
): (Partial<T> & RequestLike) | undefined {
  return transportOf(context).requestOf(context) as (Partial<T> & RequestLike) | undefined;
}
