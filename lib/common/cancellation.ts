/**
 * Returns the result of a call, or rejects as soon as the call is cancelled. The call itself keeps
 * running, and its late result is ignored.
 *
 * @param subscribe receives the function that cancels, and returns a function that unsubscribes it
 */
export async function withCancellation<T>(
  call: Promise<T>,
  subscribe: (cancel: (reason: unknown) => void) => () => void,
): Promise<T> {
  let unsubscribe: (() => void) | undefined;
  const cancelled = new Promise<never>((_resolve, reject) => {
    unsubscribe = subscribe(reject);
  });
  try {
    return await Promise.race([call, cancelled]);
  } finally {
    unsubscribe?.();
  }
}

/** Calls in flight that can be aborted together. */
export class InFlightCalls {
  readonly #aborts = new Set<(reason: Error) => void>();

  /** Returns the result of a call, or rejects when the call is aborted. */
  run<T>(call: () => Promise<T>): Promise<T> {
    return withCancellation(call(), (abort) => {
      this.#aborts.add(abort);
      return () => this.#aborts.delete(abort);
    });
  }

  /** Makes all calls in flight reject. */
  abortAll(reason: Error): void {
    for (const abort of this.#aborts) abort(reason);
  }
}
