import type { ExecutionContext } from '@nestjs/common';
import type { RouteHandler } from './transport.js';

/** The property of an object that holds its calls. Shared by all copies of this library. */
const CALLS = Symbol.for('nestjs-limits:calls');

interface CallHint {
  [CALLS]?: Map<RouteHandler, WeakRef<object>>;
}

/**
 * Identifies a call of a handler by the array of its arguments, the only object that exactly the
 * guards and interceptors of one call share. The arguments themselves may belong to several calls.
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
 * Returns the call of a parameter decorator. Nest gives it a copy of the arguments, so the call is
 * looked up by `hint`, one of the arguments. If several calls have that argument, returns the
 * latest.
 */
export function hintedCall(context: ExecutionContext, hint: object | undefined): object | undefined {
  return (hint as CallHint | undefined)?.[CALLS]?.get(context.getHandler())?.deref();
}

function callsOf(hint: CallHint): Map<RouteHandler, WeakRef<object>> {
  const known = hint[CALLS];
  if (known !== undefined) return known;
  const calls = new Map<RouteHandler, WeakRef<object>>();
  // Not enumerable, so that a message that is forwarded, stored or compared looks unchanged.
  Object.defineProperty(hint, CALLS, { value: calls });
  return calls;
}

export function objectIn(value: unknown): object | undefined {
  return typeof value === 'object' && value !== null ? value : undefined;
}
