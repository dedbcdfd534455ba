import type { ExecutionContext } from '@nestjs/common';
import type { RequestOutcome } from '../../policies/policy.js';
import type { Transport } from './transport.js';

type Listener = (outcome: RequestOutcome) => void;

/**
 * Listeners of calls whose end an interceptor reports, by the object that holds the call's state.
 */
const listeners = new WeakMap<object, Listener[]>();

/**
 * Calls back at the end of a call: after the response on HTTP, and otherwise when {@link endCall}
 * reports it, which may never happen.
 */
export function onCallEnd(context: ExecutionContext, transport: Transport, tell: Listener): void {
  if (transport.onAnswer !== undefined) {
    transport.onAnswer(context, tell);
    return;
  }
  const call = transport.stateHolder(context);
  listeners.set(call, [...(listeners.get(call) ?? []), tell]);
}

/** Reports the end of a call for a transport that cannot report it itself. */
export function endCall(call: object, outcome: RequestOutcome): void {
  for (const tell of listeners.get(call) ?? []) tell(outcome);
  listeners.delete(call);
}
