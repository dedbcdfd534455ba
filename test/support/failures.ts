import { expect } from '@jest/globals';
import { StorageError } from 'nestjs-limits';
import { until } from './servers/server-process.js';

/** Long enough for every deadline of ours, short enough to notice that something hangs. */
const CONNECT_GRACE_MS = 2500;

/** Expects calls to fail in time, with a `StorageError` that tells its cause, or that the connection has just been lost. */
export async function expectStorageErrors(
  calls: Promise<unknown> | readonly Promise<unknown>[],
): Promise<void> {
  const begin = Date.now();
  const results = await Promise.allSettled([calls].flat());
  expect(Date.now() - begin).toBeLessThan(CONNECT_GRACE_MS);
  for (const result of results) {
    const error: unknown = result.status === 'rejected' ? result.reason : 'none';
    expect(error).toBeInstanceOf(StorageError);
    const { message, cause } = error as StorageError;
    if (!message.includes('is not connected')) expect(cause).toHaveProperty('message', expect.any(String));
  }
}

/**
 * Calls until a call succeeds. Those that fail must do so as {@link expectStorageErrors} says.
 *
 * @param within ms that it may take
 */
export async function untilServed<T>(call: () => Promise<T>, within = 5000): Promise<T> {
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
