import type { RoutePolicy } from '../routes/route-policy.js';

/**
 * Warns of policies that count, before authentication, what clients merely say: each new assertion has a fresh count, unless
 * the client's address is counted beside it.
 *
 * @param policies what applies to one request together
 */
export function warnOfAssertions(policies: readonly RoutePolicy[], warn: (message: string) => void): void {
  const early = policies.filter(({ phase }) => phase === 'beforeAuth');
  const asserted = early.find(({ source }) => source.isUnverified);
  if (asserted === undefined || early.some(({ source }) => source.types.join() === 'ip')) return;
  warn(
    `${asserted.where}: the key "${asserted.source.types.join(', ')}" is what a client says, and before authentication each new one ` +
      "has a fresh count. Add a limit by 'ip' beside it, or count it after authentication: phase: 'afterAuth'.",
  );
}
