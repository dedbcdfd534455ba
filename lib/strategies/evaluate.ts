import type { Quota, Strategy } from './strategy.js';

/** The verdict of a strategy on one hit. */
export interface Evaluation {
  /** True if a hit of the requested cost is allowed. */
  readonly allowed: boolean;
  /** Whole units that could be consumed now; never negative. */
  readonly remaining: number;
  /** Epoch ms at which `remaining` next grows without further hits; now, if nothing is consumed. */
  readonly resetTime: number;
  /** Whole ms after which a hit of this cost is allowed: 0 if it is now, `Infinity` if the cost exceeds the capacity. */
  readonly retryAfter: number;
}

/** Returns the whole ms after which a hit of this cost is allowed: 0 if it is now, `Infinity` if the cost exceeds the capacity. */
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
