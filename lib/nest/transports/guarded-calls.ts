import type { CallHandler, ExecutionContext, NestInterceptor } from '@nestjs/common';
import type { Observable } from 'rxjs';
import type { RequestOutcome } from '../../policies/policy.js';
import type { Transport } from './transport.js';
import { transportOf } from './transports.js';

type Listener = (outcome: Pick<RequestOutcome, 'success'>) => void;

/** Listeners of calls outside HTTP, by the object that holds the call's state. */
const listeners = new WeakMap<object, Listener[]>();

/**
 * Calls back when the guards of a call are done. On HTTP that is after the response, which a guard
 * may have sent. Elsewhere it is when they have passed the call to a handler with
 * {@link guardedCallInterceptor}.
 */
export function onGuardsDone(context: ExecutionContext, transport: Transport, tell: Listener): void {
  if (transport.onAnswer !== undefined) {
    transport.onAnswer(context, tell);
    return;
  }
  const call = transport.stateHolder(context);
  listeners.set(call, [...(listeners.get(call) ?? []), tell]);
}

/** Reports calls that all guards have passed, since Nest runs interceptors after guards. */
export const guardedCallInterceptor: NestInterceptor = {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const transport = transportOf(context);
    if (transport.onAnswer === undefined) {
      const call = transport.stateHolder(context);
      for (const tell of listeners.get(call) ?? []) tell({ success: true });
      listeners.delete(call);
    }
    return next.handle();
  },
};
