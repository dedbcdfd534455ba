import { describeValue } from './describe.js';
import { ConfigurationError, StorageError } from './errors.js';
import { withCancellation } from './cancellation.js';

/**
 * The source of the current time.
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
  /**
   * Calls back once a number of ms have passed by this clock, and returns a function that cancels that. A clock that has it, such as a
   * manual one, also measures how long calls wait. Default: timers and the monotonic clock of this machine.
   */
  startTimer?(milliseconds: number, onEnd: () => void): () => void;
}

/** Longest delay that `setTimeout` accepts, in ms. A longer one fires immediately. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

/** Reads the machine's clock. */
export const systemClock: Clock = { now: () => Date.now() };

/** Returns the ms of a clock that is never set back. */
export function monotonicNow(clock: Clock): number {
  return clock.startTimer === undefined ? performance.now() : clock.now();
}

/**
 * Calls back once a number of ms have passed, or earlier if they are more than a timer can wait for.
 *
 * @param milliseconds `Infinity` for never
 * @returns a function that cancels the timer
 */
export function startTimer(clock: Clock, milliseconds: number, onEnd: () => void): () => void {
  if (milliseconds === Infinity) return () => undefined;
  if (clock.startTimer !== undefined) return clock.startTimer(milliseconds, onEnd);
  const timer = setTimeout(onEnd, Math.min(milliseconds, MAX_TIMER_MS));
  return () => clearTimeout(timer);
}

/** Default timeout of a call, in ms: long for a healthy store, short for a waiting client. */
export const DEFAULT_TIMEOUT_MS = 1000;

/** Throws a `ConfigurationError` unless the timeout is a whole number of ms that a timer accepts. */
export function assertTimeout(storage: string, timeout: unknown): asserts timeout is number {
  if (Number.isSafeInteger(timeout) && (timeout as number) >= 1 && (timeout as number) <= MAX_TIMER_MS)
    return;
  throw new ConfigurationError(
    `The timeout of ${storage} in ms must be a whole number from 1 to ${MAX_TIMER_MS}; got ${describeValue(timeout)}.`,
  );
}

/** Returns the error of a call that timed out while it waited for earlier calls. */
export function queueTimeoutError(storage: string, timeout: number): StorageError {
  return new StorageError(`${storage} found no turn within ${timeout} ms and counted nothing.`);
}

/**
 * Calls back when a deadline has passed. If the timer fires late because the process was busy, the
 * callback is delayed by as much again, so that replies that have already arrived are read first.
 *
 * @param end the deadline, by `performance.now()`
 * @returns a function that clears the timer
 */
export function startDeadline(end: number, onExpired: () => void): () => void {
  const wait = (ms: number, next: () => void): NodeJS.Timeout => setTimeout(next, Math.min(ms, MAX_TIMER_MS));
  let timer = wait(end - performance.now(), () => {
    timer = wait(performance.now() - end, onExpired);
  });
  return () => clearTimeout(timer);
}

/**
 * Returns the result of a call, or rejects when the timeout is over. The signal is aborted then,
 * and a late result is ignored.
 *
 * @param timeout ms
 * @param since start of the timeout, by `performance.now()`. Default: now
 */
export function withTimeout<T>(
  timeout: number,
  call: (signal: AbortSignal) => Promise<T>,
  since = performance.now(),
): Promise<T> {
  const controller = new AbortController();
  return withCancellation(call(controller.signal), (cancel) =>
    startDeadline(since + timeout, () => {
      controller.abort(new Error(`no answer within ${timeout} ms`));
      cancel(controller.signal.reason);
    }),
  );
}
