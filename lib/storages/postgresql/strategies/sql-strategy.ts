/**
 * The twin of one strategy's pure steps: pieces of PL/pgSQL for the functions that `sql/functions.sql.ts` composes.
 *
 * Every piece works on the variables of the function, for the hit at hand:
 * - reads `t` (now in epoch ms), `amount`, `period`, `burst`, `cost`, and `cell`: the stored state as jsonb, or NULL. The first
 *   number of a state is the epoch ms at which it expires; those that follow are what `encode` of the pure steps returns.
 * - `a`, `b` and `c` hold the numbers of the state between the pieces, under the names that `names` gives them.
 * - Whole numbers are bigints. A product that may exceed 2^63 is compared before it is multiplied, or computed as a numeric.
 */
export interface SqlStrategy {
  /** Names of the strategy's own for `a`, `b` and `c`: a list of `name ALIAS FOR variable;`. */
  readonly names: string;
  /** Unpacks `cell` into `a`, `b` and `c`, as it stands now, and sets `remaining`. */
  readonly remaining: string;
  /** Takes an allowed cost above 0: sets `changed` to the new state. Comes after `remaining`. */
  readonly commit: string;
  /** Records a hit that takes nothing: sets `changed` if the stored state changes. `cell` is not NULL. */
  readonly refuse: string;
  /**
   * Makes a hit count `actual` instead of `cost`. Reads `has_receipt`, `hit_at` and `hit_window` (NULL for none); sets `changed`,
   * which begins as `cell`, to the new state (NULL if nothing is consumed any more), and `counted` to the hit's window or NULL.
   */
  readonly settle: string;
  /** Replaces `reply`, the state as the caller reads it, where that is not the stored one. */
  readonly report?: string;
}
