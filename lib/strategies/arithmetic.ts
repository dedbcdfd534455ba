/** Divides and rounds up; exact for whole numbers up to 2^53, where a floating-point quotient would round first. */
export function divideUp(a: number, b: number): number {
  const rest = a % b;
  return (a - rest) / b + (rest > 0 ? 1 : 0);
}

/** Divides and rounds down; exact for whole numbers from 0 to 2^53. */
export function divideDown(a: number, b: number): number {
  return (a - (a % b)) / b;
}

/** Returns the highest usage at which `remaining` exceeds its present value. */
export function usageThatFreesOne(used: number, amount: number): number {
  return Math.max(0, Math.min(used, amount) - 1);
}
