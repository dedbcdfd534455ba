/** Calls that can be given up, all at once. */
export class InFlightCalls {
  readonly #all = new Set<AbortController>();

  /**
   * What a call answers, unless it is given up.
   *
   * @param late gives up this one
   * @param call is told when it is given up, for it may wait for something
   */
  async run<T>(late: AbortSignal, call: (givenUp: AbortSignal) => Promise<T>): Promise<T> {
    const end = new AbortController();
    const giveUp = (): void => end.abort(late.reason);
    late.addEventListener('abort', giveUp, { once: true });
    this.#all.add(end);
    try {
      return await Promise.race([call(end.signal), rejectOnAbort(end.signal)]);
    } finally {
      this.#all.delete(end);
      late.removeEventListener('abort', giveUp);
    }
  }

  giveUp(reason: Error): void {
    for (const end of this.#all) end.abort(reason);
  }
}

/** Rejects with what a signal is aborted for. */
export function rejectOnAbort(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}
