import type { ExecutionContext } from '@nestjs/common';
import type { Decision } from '../../core/decision.js';
import type { BatchResult, Outcome } from '../../core/contract.js';
import type { RoutePolicy } from '../routes/route-policy.js';
import type { RouteHandler } from '../transports/transport.js';
import { stateHolderForParameter } from '../transports/transports.js';

/** The property of a request that holds its state. Shared by all copies of this library. */
const STATE = Symbol.for('nestjs-limits:request');

/** Units taken before the outcome of a request is known, for policies that count by outcome. */
export interface Reservation {
  readonly policies: readonly RoutePolicy[];
  /** The decision of the phase that reserved the units. */
  readonly result: BatchResult;
  readonly outcomes: readonly Outcome[];
}

/** The decisions on a request. */
export interface RequestState {
  /** Absent before the request has reached a handler. */
  readonly handler: RouteHandler | undefined;
  /** The fingerprints of the policies that have counted the request. */
  readonly counted: readonly string[];
  /** All decisions, merged into one. */
  readonly decision: Decision | undefined;
  /** Settled once the outcome of the request is known. */
  readonly reservations: readonly Reservation[];
  /** The rules that were resolved for the request. */
  readonly ruleSet: object | undefined;
}

interface StateHolder {
  [STATE]?: RequestState;
}

/** Returns the state of a request; `undefined` if no limit has counted it. */
export function stateOf(holder: StateHolder): RequestState | undefined {
  return holder[STATE];
}

/** Returns the state of a call, for a parameter decorator. */
export function stateForParameter(context: ExecutionContext): RequestState | undefined {
  const holder = stateHolderForParameter(context);
  return holder && stateOf(holder);
}

/**
 * Returns the state of a request for a handler. A request that is forwarded to another handler is
 * counted again there.
 */
export function stateFor(holder: StateHolder, handler: RouteHandler | undefined): RequestState | undefined {
  const state = holder[STATE];
  return state?.handler === handler || state?.handler === undefined ? state : undefined;
}

/** Replaces the state of a request. Does nothing if the request is frozen. */
export function keepState(holder: StateHolder, state: RequestState): void {
  if (Object.isExtensible(holder)) holder[STATE] = state;
}
