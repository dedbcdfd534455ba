/** A block: until it ends, its limit refuses every hit, whatever remains. */
export interface BlockState {
  /** Epoch ms at which the block ends. */
  until: number;
  /** Index of the duration that was used; the next block uses the next one. */
  level: number;
}

/**
 * Blocks a limit after a refusal, for longer each time if several durations are given. The level resets once the longest
 * duration has passed without a block. Pure steps, like those of a strategy.
 */
export const block = {
  /** Returns the epoch ms at which the block ends; `now` if there is none. */
  blockedUntil(state: BlockState | undefined, durations: readonly number[], now: number): number {
    return state === undefined ? now : Math.max(now, Math.min(state.until, now + longest(durations)));
  },

  /** Returns the state after a refusal that happened while no block was in force. */
  commit(state: BlockState | undefined, durations: readonly number[], now: number): BlockState {
    const again = state !== undefined && now < block.expiresAt(state, durations);
    const level = again ? Math.min(state.level + 1, durations.length - 1) : 0;
    return { until: now + (durations[level] ?? 0), level };
  },

  /** Returns the state of a block set by hand: the next refusal uses the second duration. */
  byHand: (duration: number, now: number): BlockState => ({ until: now + duration, level: 0 }),

  /** Shortens, in place, a block from the future that a clock which went back has left; returns true if it did. */
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
