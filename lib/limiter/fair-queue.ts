import { setTimeout as sleep } from 'node:timers/promises';
import { startDeadline, MAX_TIMER_MS } from '../common/time.js';
import { withCancellation } from '../common/cancellation.js';
import { describeValue } from '../common/describe.js';
import { WaitTimeoutError } from '../common/errors.js';

/** How long somebody is ready to wait. */
export interface WaitOptions {
  /** Gives up when it is aborted, with its reason. Default: never. */
  signal?: AbortSignal | undefined;
  /** Ms, from 0. Default: as long as it takes. */
  maxWait?: number | undefined;
}

/** Lines that whoever waits for the same thing stands in: first come, first served, and only the first one asks. */
export class FairQueue {
  /** By what is waited for: settles when everybody who stands in the line has left it. */
  readonly #ends = new Map<string, Promise<void>>();

  /**
   * Asks, when its turn has come, until nothing is to be waited for any more.
   *
   * @param ask an answer, and the ms until it is worth asking again: 0 when it is the last one
   * @throws WaitTimeoutError as soon as it is known that it would take longer than `maxWait`; the signal's reason when it is aborted;
   * RangeError for a `maxWait` that is none
   */
  async wait<Answer>(
    name: string,
    { signal, maxWait = Infinity }: WaitOptions,
    ask: () => Promise<readonly [answer: Answer, wait: number]>,
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
        if (!Number.isFinite(wait) || performance.now() + wait > deadline)
          throw new WaitTimeoutError(wait, maxWait);
        await sleep(Math.min(wait, MAX_TIMER_MS), undefined, { signal }).catch(() =>
          signal?.throwIfAborted(),
        );
      }
    } finally {
      leave();
    }
  }

  /** Takes the last place of a line; returns how to leave it. Whoever comes later waits for those ahead in any case. */
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

function assertMaxWait(maxWait: unknown): asserts maxWait is number {
  if (typeof maxWait !== 'number' || !(maxWait >= 0))
    throw new RangeError(
      `The maxWait of a hit must be a number of ms from 0; got ${describeValue(maxWait)}.`,
    );
}

/** Waits until those ahead have left, or until it is too late. */
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
