import { setTimeout as sleep } from 'node:timers/promises';

/** Ms after which a timer is none of ioredis'. */
const MAX_WAIT_MS = 3000;

const timers = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;

/** Timers of Jest: those before the tests, and the one that bounds the hook. */
const TIMERS_OF_JEST = timers() + 1;

/**
 * Waits until ioredis has no timer left. After it has asked a sentinel that refuses the connection, it keeps a timer of two
 * seconds, whose length is no option. Jest ends a worker that has a timer by force, and warns.
 *
 * @example
 * ```ts
 * afterAll(driverTimersEnded);
 * ```
 */
export async function driverTimersEnded(): Promise<void> {
  for (let waited = 0; timers() > TIMERS_OF_JEST && waited < MAX_WAIT_MS; waited += 50) await sleep(50);
}
