import {
  Inject,
  Injectable,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import { finalize, tap, type Observable } from 'rxjs';
import type { Awaitable } from '../common/awaitable.js';
import type { RequestOutcome } from '../policies/policy.js';
import { Reservations } from './request/reservations.js';
import { resultsOf } from './transports/call-slots.js';
import { Transports } from './transports/transports.js';
import { shownByName } from '../common/inspection.js';

/** Calls whose outcome is known. If the interceptor is bound twice, the inner one settles the call. */
const settled = new WeakSet();

/**
 * Settles limits that count by outcome on transports without an HTTP response. Bind it to the resolvers, gateways and message
 * handlers that have such limits.
 *
 * @example
 * ```ts
 * import { UseInterceptors } from '@nestjs/common';
 * import { RateLimit, RateLimitInterceptor } from 'nestjs-limits';
 *
 * @UseInterceptors(RateLimitInterceptor)
 * class LoginResolver {
 *   @RateLimit('5/minute', { count: 'failure' })
 *   login() {}
 * }
 * ```
 */
@Injectable()
@shownByName
export class RateLimitInterceptor implements NestInterceptor {
  constructor(
    @Inject(Transports) private readonly transports: Transports,
    @Inject(Reservations) private readonly reservations: Reservations,
  ) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const transport = this.transports.get(context);
    if (transport === undefined || transport.onAnswer !== undefined) return next.handle();
    const settle = (findOutcome: () => Awaitable<RequestOutcome>): void => {
      const call = transport.stateHolder(context);
      if (settled.has(call)) return;
      settled.add(call);
      void this.reservations.settle(context, transport, findOutcome);
    };
    let returned: unknown;
    return resultsOf(context, transport, next).pipe(
      tap({
        next: (value: unknown) => (returned = value),
        complete: () => settle(() => transport.outcomeOf?.(context, returned) ?? { success: true }),
        error: (error: unknown) => settle(() => ({ success: false, error })),
      }),
      // Only a call that is given up has not settled before.
      finalize(() => settle(() => ({ success: false, aborted: true }))),
    );
  }
}
