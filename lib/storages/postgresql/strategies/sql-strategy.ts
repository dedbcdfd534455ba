/**
 * The SQL version of one strategy's pure steps: pieces of PL/pgSQL for the functions in
 * `sql/functions.sql.ts`.
 *
 * Every piece uses the variables of the function, for the current hit:
 * - It reads `t` (now in epoch ms), `amount`, `period`, `burst`, `cost`, `window_end` (when a window
 *   that opens now ends, also by a calendar), and `cell`: the stored state as jsonb, or NULL. The first number of a state is the epoch ms at which it expires. The
 *   numbers that `encode` of the pure steps returns follow.
 * - `a`, `b` and `c` hold the numbers of the state between pieces, by the aliases in `names`.
 * - Integers are bigints. A product that may exceed 2^63 is bounded first, or is a numeric.
 */
export interface SqlStrategy {
  /** The strategy's aliases for `a`, `b` and `c`: a list of `name ALIAS FOR variable;`. */
  readonly names: string;
  /** Unpacks `cell`, advanced to now, into `a`, `b` and `c`. Sets `remaining`. */
  readonly remaining: string;
  /** Takes an allowed cost above 0: sets `changed` to the new state. Runs after `remaining`. */
  readonly commit: string;
  /**
   * Handles a hit that is not taken: sets `changed` if the stored state changes. `cell` is not
   * NULL.
   */
  readonly refuse: string;
  /**
   * Makes a hit count `actual` instead of `cost`. Reads `has_receipt`, `hit_at` and `hit_window`
   * (NULL for none). Sets `changed`, which is `cell` before, to the new state (NULL if nothing is
   * consumed any more), and `counted` to the hit's window or NULL.
   */
  readonly settle: string;
  /** Replaces `reply`, the state in the answer, if it differs from the stored one. */
  readonly report?: string;
}
