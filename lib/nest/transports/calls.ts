import type { ExecutionContext } from '@nestjs/common';
import type { RouteHandler } from './transport.js';

/** Where an object keeps the calls that it is part of; the same for every copy of this library. */
const CALLS = Symbol.for('nestjs-limits:calls');

interface CallHint {
  [CALLS]?: Map<RouteHandler, WeakRef<object>>;
}

/**
 * A call of a handler: the array of its arguments, which all guards and interceptors get, and nothing else. What is in it may be
 * the same for several calls, and must not make them one.
 *
 * @param hint see {@link hintedCall}
 */
export function identifyCall(context: ExecutionContext, hint: object | undefined): object {
  const call: object = context.getArgs();
  if (hint !== undefined && Object.isExtensible(hint)) {
    const calls = callsOf(hint);
    const handler = context.getHandler();
    if (calls.get(handler)?.deref() !== call) calls.set(handler, new WeakRef(call));
  }
  return call;
}

/**
 * The call that decorators of parameters are asked about: Nest hands them a copy of the arguments, so that it is found by one of
 * these. Where several calls have that one, it is the latest of them.
 */
export function hintedCall(context: ExecutionContext, hint: object | undefined): object | undefined {
  return (hint as CallHint | undefined)?.[CALLS]?.get(context.getHandler())?.deref();
}

function callsOf(hint: CallHint): Map<RouteHandler, WeakRef<object>> {
  const known = hint[CALLS];
  if (known !== undefined) return known;
  const calls = new Map<RouteHandler, WeakRef<object>>();
  // A message that is sent on, stored or compared must look as it did.
  Object.defineProperty(hint, CALLS, { value: calls });
  return calls;
}

export function objectIn(value: unknown): object | undefined {
  return typeof value === 'object' && value !== null ? value : undefined;
}
