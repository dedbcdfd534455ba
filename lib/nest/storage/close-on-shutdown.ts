import { messageOf } from '../../common/describe.js';
import { withTimeout } from '../../common/time.js';
import type { Storage } from '../../core/storage.js';
import { logger } from '../options/warnings.js';

/** Timeout for closing the store on shutdown, in ms. */
const SHUTDOWN_TIMEOUT_MS = 2000;

/**
 * Closes the clients that a storage opened. Logs a failure instead of throwing, so that the shutdown continues.
 *
 * @param before called first, within the same timeout
 */
export async function closeOnShutdown(
  storage: Pick<Storage, 'close' | 'toString'>,
  before?: () => Promise<unknown>,
): Promise<void> {
  try {
    await withTimeout(SHUTDOWN_TIMEOUT_MS, async () => {
      await before?.();
      await storage.close();
    });
  } catch (error) {
    logger.error(`Closing ${storage.toString()} failed: ${messageOf(error)}`);
  }
}
