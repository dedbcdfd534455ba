/**
 * A strategy's steps as Lua, for Redis: the twin of a {@link Strategy}, fragment by fragment, and exactly as exact.
 *
 * `$` stands for the number of the limit in its batch. Given are `now`, and of each limit `amount$`, `period$`, `burst$`,
 * `cost$`, its stored text `state$` (or false), and for a moving window the key `log$` of its log. Numbers stay below 2^53.
 */
export interface LuaStrategy {
  /** Functions that the fragments call. */
  readonly functions?: string;
  /** Reads `state$` into variables of its own and sets `remaining$`; may set `failure` to an error reply. */
  readonly look: string;
  /** Takes `cost$`: sets `next$`, the text to store, which begins with the epoch ms when it expires, and `window$`. */
  readonly take: string;
  /** What a hit that takes nothing changes all the same; sets `next$` if it does. */
  readonly refuse: string;
  /** Sets `reset$` from the variables. */
  readonly reset: string;
  /** Sets `wait$` from the variables, for a cost above `remaining$` and within the capacity. */
  readonly wait: string;
  /**
   * Gives `cost$` back: to the window that `window$` and `at$` name, or to the current one where `window$` is false. Runs
   * after `look`; sets `next$`, or to `''` when nothing is consumed any more.
   */
  readonly refund: string;
}

/** Lua of {@link usageThatFreesOne} and {@link divideUp}. */
export const luaArithmetic = `
local function usage_that_frees_one(used, amount)
  return max(0, min(used, amount) - 1)
end
local function divide_up(a, b)
  local rest = fmod(a, b)
  return (a - rest) / b + (rest > 0 and 1 or 0)
end`;
