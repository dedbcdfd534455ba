/**
 * Remedies, by a pattern for the messages of their errors. If an error has a code that is a string,
 * the pattern is matched against the code, a space and the message.
 */
export type Remedies = readonly (readonly [message: RegExp, remedy: string])[];

/**
 * Returns the first remedy for one of the messages of an error and the errors that it wraps;
 * `undefined` for none.
 */
export function findRemedy(remedies: Remedies, error: unknown): string | undefined {
  const messages = messagesOf(error);
  return remedies.find(([pattern]) => messages.some((message) => pattern.test(message)))?.[1];
}

/** Maximum depth of causes to read. */
const MAX_DEPTH = 4;

function messagesOf(error: unknown, depth = 0): string[] {
  if (!(error instanceof Error) || depth === MAX_DEPTH) return [];
  // The cluster client of ioredis keeps the last error of a server in `lastNodeError`.
  const { lastNodeError, code } = error as { lastNodeError?: unknown; code?: unknown };
  const message = typeof code === 'string' ? `${code} ${error.message}` : error.message;
  return [message, ...messagesOf(lastNodeError, depth + 1), ...messagesOf(error.cause, depth + 1)];
}
