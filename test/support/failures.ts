import { expect } from '@jest/globals';
import { StorageError } from 'nestjs-limits';
import { until } from './servers/server-process.js';

/** Returns what a call rejects with. Throws when it does not reject. */
export async function failureOf(call: Promise<unknown>): Promise<unknown> {
  try {
    await call;
  } catch (error) {
    return error;
  }
  throw new Error('The call did not reject.');
}

/**
 * Expects calls to reject with a `StorageError` that has a cause, or says that there is no
 * connection.
 */
export async function expectStorageErrors(
  calls: Promise<unknown> | readonly Promise<unknown>[],
): Promise<void> {
  const results = await Promise.allSettled([calls].flat());
  for (const result of results) {
    const error: unknown = result.status === 'rejected' ? result.reason : 'none';
    expect(error).toBeInstanceOf(StorageError);
    const { message, cause } = error as StorageError;
    if (!message.includes('is not connected')) expect(cause).toHaveProperty('message', expect.any(String));
  }
}

/**
 * Repeats a call until it succeeds, and returns its result. Failures must be those of
 * {@link expectStorageErrors}.
 *
 * @param within ms after which it throws
 */
export async function untilServed<T>(call: () => Promise<T>, within = 15_000): Promise<T> {
  const served: T[] = [];
  await until(
    async () => {
      const attempt = call();
      try {
        served.push(await attempt);
      } catch {
        await expectStorageErrors(attempt);
      }
      return served.length > 0;
    },
    'to be served again',
    within,
  );
  return served[0] as T;
}
