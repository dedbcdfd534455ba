import { setTimeout as delay } from 'node:timers/promises';
import { ConcurrentUpdateError } from '../../common/errors.js';
import type { Storage } from '../../core/storage.js';

/** Maximum number of attempts. */
const MAX_ATTEMPTS = 16;
/**
 * Upper bound of the first random pause after a lost race, in ms. It doubles up to `MAX_PAUSE_MS`.
 */
const FIRST_PAUSE_MS = 1;
const MAX_PAUSE_MS = 64;

/**
 * Repeats an attempt until it stores its result, with growing random pauses.
 *
 * @param attempt returns false if another process was faster
 * @throws ConcurrentUpdateError after 16 attempts
 */
export async function retryUntilStored(storage: Storage, attempt: () => Promise<boolean>): Promise<void> {
  for (let attempts = 1; !(await attempt()); attempts++) {
    if (attempts === MAX_ATTEMPTS) {
      throw new ConcurrentUpdateError(
        `${storage} lost ${MAX_ATTEMPTS} races in a row for one identity and counted nothing. Many processes hit it at once: ` +
          'use a storage that decides in one atomic step, such as Redis.',
      );
    }
    await delay(Math.random() * Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** attempts));
  }
}
