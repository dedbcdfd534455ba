/**
 * What a call answers, unless it is given up first: then it goes on unheard.
 *
 * @param listen is told how to give the call up, and returns how to call that off
 */
export async function unlessGivenUp<T>(
  answer: Promise<T>,
  listen: (giveUp: (reason: unknown) => void) => () => void,
): Promise<T> {
  let forget: (() => void) | undefined;
  const givenUp = new Promise<never>((_resolve, reject) => {
    forget = listen(reject);
  });
  try {
    return await Promise.race([answer, givenUp]);
  } finally {
    forget?.();
  }
}

/** Calls that are under way, and can be given up, all at once. */
export class InFlightCalls {
  readonly #giveUps = new Set<(reason: Error) => void>();

  /** What a call answers, unless it is given up. */
  run<T>(call: () => Promise<T>): Promise<T> {
    return unlessGivenUp(call(), (giveUp) => {
      this.#giveUps.add(giveUp);
      return () => this.#giveUps.delete(giveUp);
    });
  }

  giveUp(reason: Error): void {
    for (const giveUp of this.#giveUps) giveUp(reason);
  }
}
