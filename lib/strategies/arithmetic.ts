/** `a / b` rounded up, exact for whole numbers up to 2^53, where dividing first would round. */
export function divideUp(a: number, b: number): number {
  const rest = a % b;
  return (a - rest) / b + (rest > 0 ? 1 : 0);
}

/** `a / b` rounded down, exact for whole numbers from 0 to 2^53. */
export function divideDown(a: number, b: number): number {
  return (a - (a % b)) / b;
}

/** The most that may still be used for `remaining` to be higher than it is now. */
export function usageThatFreesOne(used: number, amount: number): number {
  return Math.max(0, Math.min(used, amount) - 1);
}
