import { setTimeout as sleep } from 'node:timers/promises';
import { startDeadline, MAX_TIMER_MS } from '../common/time.js';
import { withCancellation } from '../common/cancellation.js';
import { describeValue } from '../common/describe.js';
import { WaitTimeoutError } from '../common/errors.js';

/** Options of a call that waits. */
export interface WaitOptions {
  /** Stops waiting when aborted, and rejects with its reason. Default: never. */
  signal?: AbortSignal | undefined;
  /** Longest wait in ms, from 0. Default: no maximum. */
  maxWait?: number | undefined;
}

/** Queues callers by name, first come, first served. Only the first caller of a queue tries. */
export class FairQueue {
  /** By name: settles when every caller in the queue has left. */
  readonly #ends = new Map<string, Promise<void>>();

  /**
   * Waits for the caller's turn, then tries until no wait is left.
   *
   * @param ask returns an answer and the ms until the next try; 0 ends the wait, `undefined` means an unknown time
   * @param pause waits for an unknown time, at most the given ms
   * @throws WaitTimeoutError as soon as `maxWait` is known to be too short; the reason of `signal`
   * when it is aborted; RangeError for a `maxWait` that is not a number from 0
   */
  async wait<Answer>(
    name: string,
    { signal, maxWait = Infinity }: WaitOptions,
    ask: () => Promise<readonly [answer: Answer, wait: number | undefined]>,
    pause: (milliseconds: number, signal: AbortSignal | undefined) => Promise<unknown> = sleepUnlessAborted,
  ): Promise<Answer> {
    assertMaxWait(maxWait);
    const deadline = performance.now() + maxWait;
    const ahead = this.#ends.get(name);
    const leave = this.#standIn(name, ahead);
    try {
      if (ahead !== undefined) await waitForTurn(ahead, deadline, maxWait, signal);
      for (;;) {
        signal?.throwIfAborted();
        const [answer, wait] = await ask();
        if (wait === 0) return answer;
        const now = performance.now();
        if (wait === Infinity || now + (wait ?? 0) >= deadline) throw new WaitTimeoutError(wait, maxWait);
        if (wait === undefined) await pause(Math.min(pollInterval(), deadline - now), signal);
        else await sleepUnlessAborted(wait, signal);
      }
    } finally {
      leave();
    }
  }

  /**
   * Appends a caller to a queue and returns the function that removes it. Later callers always wait
   * for those ahead.
   */
  #standIn(name: string, ahead: Promise<void> | undefined): () => void {
    let leave = (): void => undefined;
    const gone = new Promise<void>((resolve) => {
      leave = resolve;
    });
    const end = Promise.all([ahead, gone]).then(() => {
      if (this.#ends.get(name) === end) this.#ends.delete(name);
    });
    this.#ends.set(name, end);
    return leave;
  }
}

/** Returns 100 to 250 ms, at random: the time between tries while it is not known when the next one succeeds. */
function pollInterval(): number {
  return 100 + 150 * Math.random();
}

async function sleepUnlessAborted(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  await sleep(Math.min(milliseconds, MAX_TIMER_MS), undefined, { signal }).catch(() =>
    signal?.throwIfAborted(),
  );
}

function assertMaxWait(maxWait: unknown): asserts maxWait is number {
  if (typeof maxWait !== 'number' || !(maxWait >= 0))
    throw new RangeError(
      `The maxWait of a hit must be a number of ms from 0; got ${describeValue(maxWait)}.`,
    );
}

/** Waits until those ahead have left, the deadline passes, or `signal` is aborted. */
function waitForTurn(
  ahead: Promise<void>,
  deadline: number,
  maxWait: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  signal?.throwIfAborted();
  return withCancellation(ahead, (cancel) => {
    const abort = (): void => cancel(signal?.reason);
    const timeOut = (): void => cancel(new WaitTimeoutError(undefined, maxWait));
    const forget = deadline === Infinity ? () => undefined : startDeadline(deadline, timeOut);
    signal?.addEventListener('abort', abort);
    return () => {
      signal?.removeEventListener('abort', abort);
      forget();
    };
  });
}
