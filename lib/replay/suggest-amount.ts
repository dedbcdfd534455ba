/** The share of requests that a limit of an amount refuses, 0 to 1. */
export interface MeasuredAmount {
  readonly amount: number;
  readonly share: number;
}

/** The smallest amount that refuses at most a share, and the one below it; or the largest amount, if that refuses more. */
export type Suggestion =
  | { readonly isReached: true; readonly amount: MeasuredAmount; readonly below: MeasuredAmount }
  | { readonly isReached: false; readonly amount: MeasuredAmount };

/**
 * Finds the smallest amount that refuses at most a share of the requests: doubles the amount until it
 * does, then bisects. Each step measures one amount, that is, replays the log.
 *
 * The result refuses at most the share, and one less refuses more. A still smaller amount could only
 * meet the share where a smaller limit refuses less, as a moving window may.
 *
 * @param start the amount to start from, at least 1
 * @param max the largest amount to try
 */
export async function suggestAmount(
  target: number,
  start: number,
  max: number,
  measure: (amount: number) => Promise<number>,
): Promise<Suggestion> {
  const measured = async (amount: number): Promise<MeasuredAmount> => ({
    amount,
    share: await measure(amount),
  });
  // An amount of 0 refuses everything.
  let below: MeasuredAmount = { amount: 0, share: 1 };
  let enough = await measured(Math.min(start, max));
  while (enough.share > target) {
    if (enough.amount >= max) return { isReached: false, amount: enough };
    below = enough;
    enough = await measured(Math.min(2 * enough.amount, max));
  }
  while (enough.amount - below.amount > 1) {
    const middle = await measured(below.amount + Math.floor((enough.amount - below.amount) / 2));
    if (middle.share <= target) enough = middle;
    else below = middle;
  }
  return { isReached: true, amount: enough, below };
}
