import type { ExecutionContext } from '@nestjs/common';
import type { Decision } from '../../core/decision.js';
import type { BatchResult, Outcome } from '../../core/contract.js';
import type { RoutePolicy } from '../routes/route-policy.js';
import type { RouteHandler } from '../transports/transport.js';
import { stateHolderForParameter } from '../transports/transports.js';

/** Where a request keeps what was decided on it; the same for every copy of this library. */
const STATE = Symbol.for('nestjs-limits:request');

/** What was taken for a policy that counts by outcome, or for several that share a count, before the outcome is known. */
export interface Reservation {
  readonly policies: readonly RoutePolicy[];
  /** The decision of the phase that reserved it. */
  readonly result: BatchResult;
  readonly outcomes: readonly Outcome[];
}

/** What was decided on a request. */
export interface RequestState {
  /** The handler that it was counted for; absent before it has reached one. */
  readonly handler: RouteHandler | undefined;
  /** What tells the policies that have counted it. */
  readonly counted: readonly string[];
  /** All decisions on it, as one. */
  readonly decision: Decision | undefined;
  /** What is settled once it is known how the request ended. */
  readonly reservations: readonly Reservation[];
}

interface StateHolder {
  [STATE]?: RequestState;
}

/** What was decided on a request. */
export function stateOf(holder: StateHolder): RequestState | undefined {
  return holder[STATE];
}

/** The state of a call, as decorators of its parameters find it. */
export function stateForParameter(context: ExecutionContext): RequestState | undefined {
  const holder = stateHolderForParameter(context);
  return holder && stateOf(holder);
}

/** What was decided on a request for a handler: another one, which the request was passed on to, counts it anew. */
export function stateFor(holder: StateHolder, handler: RouteHandler | undefined): RequestState | undefined {
  const state = holder[STATE];
  return state?.handler === handler || state?.handler === undefined ? state : undefined;
}

export function keepState(holder: StateHolder, state: RequestState): void {
  if (Object.isExtensible(holder)) holder[STATE] = state;
}
