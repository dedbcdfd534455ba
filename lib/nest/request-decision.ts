import type { Decision } from '../limiter/decision.js';

/** Where a request keeps the decision on it: also the sign that it has been counted, should the guard be bound twice. */
const DECISION = Symbol.for('nestjs-limits:decision');

interface Decided {
  [DECISION]?: Decision;
}

export function decisionOn(request: Decided): Decision | undefined {
  return request[DECISION];
}

export function keepDecision(request: Decided, decision: Decision): void {
  request[DECISION] = decision;
}
