/**
 * Tells the driver to give a call up at an instant by `performance.now()`. The driver compares with the machine's clock as
 * `new Date()` reads it, which an application's tests may have set apart from `Date.now()`.
 */
export function endingAt(end: number): { deadline: number } {
  return { deadline: new Date().getTime() + end - performance.now() };
}
