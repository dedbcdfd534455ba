import type { Quota, Strategy } from './strategy.js';

/** What a strategy says of a state at one instant. */
export interface Evaluation {
  /** Whether a hit of the asked cost is allowed. A cost of 0 always is. */
  readonly allowed: boolean;
  /** Whole units that could be consumed now; never negative. */
  readonly remaining: number;
  /** Epoch ms at which `remaining` grows next if nobody hits meanwhile; now, if nothing is consumed. */
  readonly resetTime: number;
  /** Whole ms after which a hit of this cost would be allowed: 0 if it is, `Infinity` if the cost exceeds the capacity. */
  readonly retryAfter: number;
}

/** Whole ms after which a hit of this cost would be allowed: 0 if it is, `Infinity` if the cost exceeds the capacity. */
export function retryAfter<State>(
  strategy: Strategy<State>,
  state: State | undefined,
  quota: Quota,
  cost: number,
  remaining: number,
  now: number,
): number {
  if (cost <= remaining) return 0;
  return cost > quota.burst || state === undefined ? Infinity : strategy.wait(state, quota, cost, now);
}
