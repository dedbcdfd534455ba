import { MAX_TIMER_MS } from './clock.js';
import { ConfigurationError, StorageError } from './errors.js';
import { describeValue } from './describe.js';

/** Ms that a call may take unless the options say otherwise: long for a store that is well, short for whoever waits. */
export const DEFAULT_TIMEOUT_MS = 1000;

/** Refuses a timeout that is none. */
export function assertTimeout(storage: string, timeout: unknown): asserts timeout is number {
  if (Number.isSafeInteger(timeout) && (timeout as number) >= 1 && (timeout as number) <= MAX_TIMER_MS)
    return;
  throw new ConfigurationError(
    `The timeout of ${storage} in ms must be a whole number from 1 to ${MAX_TIMER_MS}; got ${describeValue(timeout)}.`,
  );
}

/** What a call fails with that waited for others until its time was over. */
export function queueTimeoutError(storage: string, timeout: number): StorageError {
  return new StorageError(`${storage} found no turn within ${timeout} ms and counted nothing.`);
}

/**
 * What a call answers, unless it takes too long: then it is told so, and goes on unheard.
 *
 * @param timeout ms that it may take
 * @param since when that began, by `performance.now()`
 */
export async function withTimeout<T>(
  timeout: number,
  call: (late: AbortSignal) => Promise<T>,
  since = performance.now(),
): Promise<T> {
  const deadline = new AbortController();
  const end = since + timeout;
  let timer: NodeJS.Timeout | undefined;
  const passed = new Promise<never>((_resolve, reject) => {
    const giveUp = (): void => {
      const error = new Error(`no answer within ${timeout} ms`);
      deadline.abort(error);
      reject(error);
    };
    // As much longer as the timer was late: this process was busy then, and answers that have come must be read first.
    timer = setTimeout(() => (timer = setTimeout(giveUp, performance.now() - end)), end - performance.now());
  });
  try {
    return await Promise.race([call(deadline.signal), passed]);
  } finally {
    clearTimeout(timer);
  }
}
