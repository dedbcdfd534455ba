import { describeValue } from '../../common/describe.js';
import { ConfigurationError } from '../../common/errors.js';
import { renewAllSlots } from '../../limiter/held-slots.js';
import { observed, ObservedStorage } from '../../observability/observed.storage.js';
import type { RateLimitEvents } from '../../observability/rate-limit-events.js';
import { resilient } from '../../resilience/resilient-storage.js';
import { MemoryStorage } from '../../storages/memory/memory.storage.js';
import { storageFromString } from '../../storages/storage-from-string.js';
import { isStorage, type Storage } from '../../core/storage.js';
import { BorrowedStorage } from '../../core/wrapped.storage.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import { ErrorSampler } from './call-failures.js';
import type { StoreHealth } from './store-health.js';
import type { StoreLog } from './store-log.js';

/** Opens the storage of the options, or returns the given one. */
export async function openStorage({ storage, keyPrefix }: ResolvedOptions): Promise<Storage> {
  const options = keyPrefix === undefined ? {} : { keyPrefix };
  if (storage === undefined) return new MemoryStorage(options);
  if (typeof storage === 'string') return storageFromString(storage, options);
  if (!isStorage(storage)) {
    throw new ConfigurationError(
      `The storage of RateLimitModule must be a URI such as "memory://" or a Storage; got ${describeValue(storage)}. ` +
        'A client goes into a storage: new RedisStorage(client).',
    );
  }
  if (keyPrefix !== undefined) {
    throw new ConfigurationError(
      'The keyPrefix of RateLimitModule is for a storage given as a URI. Give yours to its constructor.',
    );
  }
  return storage;
}

/**
 * Creates the storage that decides requests. A storage given by the application stays open when
 * this one is closed.
 */
export function decidingStorage(
  storage: Storage,
  options: ResolvedOptions,
  events: RateLimitEvents,
  health: StoreHealth,
  log: StoreLog,
): ObservedStorage {
  const { resilience } = options;
  const owned = isStorage(options.storage) ? new BorrowedStorage(storage) : storage;
  if (resilience === false) return observed(owned, events);
  const sampler = new ErrorSampler();
  const deciding = resilient(owned, resilience, {
    called: (operation, start, result) => events.called(operation, start, result),
    failed: (error) => {
      if (sampler.takes(error)) events.publish({ type: 'error', error });
      log.failed(error);
    },
    degraded: (error) => {
      health.lost();
      events.publish({ type: 'degraded', error });
      log.lost(error);
    },
    recovered: () => {
      health.found();
      events.publish({ type: 'recovered' });
      log.found();
      renewAllSlots(decided);
    },
  });
  const decided = new ObservedStorage(deciding, events);
  return decided;
}
