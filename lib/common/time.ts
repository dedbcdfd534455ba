import { describeValue } from './describe.js';
import { ConfigurationError, StorageError } from './errors.js';
import { unlessGivenUp } from './give-up.js';

/**
 * Where the library reads the time.
 *
 * @example
 * ```ts
 * import { MemoryStorage, type Clock } from 'nestjs-limits';
 *
 * const stopped: Clock = { now: () => 1_700_000_000_000 };
 * const storage = new MemoryStorage({ clock: stopped });
 * ```
 */
export interface Clock {
  /** Epoch milliseconds, a whole number. */
  now(): number;
}

/** Ms that a timer can wait for; what is more, it takes for none at all. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

/** The clock of the machine. */
export const systemClock: Clock = { now: () => Date.now() };

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
 * Calls back when a time is over. As much later as the timer was late: this process was busy then, and answers that have arrived
 * are read before anything is called late.
 *
 * @param end by `performance.now()`
 * @returns how to call it off
 */
export function afterTime(end: number, then: () => void): () => void {
  const wait = (ms: number, next: () => void): NodeJS.Timeout => setTimeout(next, Math.min(ms, MAX_TIMER_MS));
  let timer = wait(end - performance.now(), () => {
    timer = wait(performance.now() - end, then);
  });
  return () => clearTimeout(timer);
}

/**
 * What a call answers, unless it takes too long: then it is told so, and goes on unheard.
 *
 * @param timeout ms that it may take
 * @param since when that began, by `performance.now()`
 */
export function withTimeout<T>(
  timeout: number,
  call: (late: AbortSignal) => Promise<T>,
  since = performance.now(),
): Promise<T> {
  const late = new AbortController();
  return unlessGivenUp(call(late.signal), (giveUp) =>
    afterTime(since + timeout, () => {
      late.abort(new Error(`no answer within ${timeout} ms`));
      giveUp(late.signal.reason);
    }),
  );
}
