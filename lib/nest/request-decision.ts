import type { Decision } from '../limiter/decision.js';
import type { RouteHandler } from './route-id.js';

/** Where a request keeps the decision on it, and for which handler it was made. */
const DECIDED = Symbol.for('nestjs-limits:decision');

interface Decided {
  [DECIDED]?: { readonly decision: Decision; readonly handler: RouteHandler };
}

/** The latest decision on a request. */
export function decisionOn(request: Decided): Decision | undefined {
  return request[DECIDED]?.decision;
}

/**
 * Whether a request has been counted for this handler, should the guard be bound twice. Another handler, which the request was
 * passed on to, counts it anew.
 */
export function isDecided(request: Decided, handler: RouteHandler): boolean {
  return request[DECIDED]?.handler === handler;
}

export function keepDecision(request: Decided, handler: RouteHandler, decision: Decision): void {
  request[DECIDED] = { decision, handler };
}
