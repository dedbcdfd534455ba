/** What becomes of a hit that the store cannot decide: it passes, fails, or is counted by this process alone. */
export type OnError = 'allow' | 'fallback' | 'deny';

export const ON_ERROR: readonly OnError[] = ['allow', 'fallback', 'deny'];

/** Of several the strictest. */
export function strictest(modes: readonly OnError[]): OnError | undefined {
  return ON_ERROR.findLast((mode) => modes.includes(mode));
}
