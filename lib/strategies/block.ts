/** A penalty: while it lasts, its limit refuses whatever is left. */
export interface BlockState {
  /** Epoch ms at which the block ends. */
  until: number;
  /** Which of the durations it was, counted from 0: the next refusal takes the next one. */
  level: number;
}

/**
 * Block: a refusal closes the limit for a while, longer each time if several durations are given. The level falls back once
 * the longest duration has passed without a block. Pure steps, like a strategy's.
 */
export const block = {
  /** Epoch ms until which the limit is blocked; `now` when it is not. */
  blockedUntil(state: BlockState | undefined, durations: readonly number[], now: number): number {
    return state === undefined ? now : Math.max(now, Math.min(state.until, now + longest(durations)));
  },

  /** The state after a refusal, made while no block lasted. */
  commit(state: BlockState | undefined, durations: readonly number[], now: number): BlockState {
    const again = state !== undefined && now < block.expiresAt(state, durations);
    const level = again ? Math.min(state.level + 1, durations.length - 1) : 0;
    return { until: now + (durations[level] ?? 0), level };
  },

  /** The state that a block made by hand begins with: the next refusal takes the second duration. */
  byHand: (duration: number, now: number): BlockState => ({ until: now + duration, level: 0 }),

  /** Shortens in place a block from the future, left by a clock that went back; returns whether it was one. */
  shorten(state: BlockState, durations: readonly number[], now: number): boolean {
    const latest = now + longest(durations);
    if (state.until <= latest) return false;
    state.until = latest;
    return true;
  },

  expiresAt: (state: BlockState, durations: readonly number[]): number => state.until + longest(durations),
  encode: (state: BlockState): number[] => [state.until, state.level],
  decode: ([until = 0, level = 0]: readonly number[]): BlockState => ({ until, level }),
};

function longest(durations: readonly number[]): number {
  return Math.max(...durations);
}
