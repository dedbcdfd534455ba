import type { Awaitable } from '../common/awaitable.js';
import type { BatchResult, Hit, OnError } from '../core/contract.js';
import { countsInProcess } from '../storages/memory/memory.storage.js';
import type { Storage } from '../core/storage.js';
import { FallbackStorage } from './fallback.storage.js';
import { DenialCacheStorage } from './denial-cache.storage.js';
import { CircuitBreakerStorage, type HealthListener } from './circuit-breaker.storage.js';
import { LeasingStorage } from './leasing.storage.js';
import type { ResolvedResilience } from './resilience.options.js';
import { WrappedStorage } from '../core/wrapped.storage.js';

/** The storage that decides requests. */
export type DecidingStorage = Storage & {
  /** @param onError what to do if the store fails; default: as configured */
  consume(batch: readonly Hit[], onError?: OnError): Awaitable<BatchResult>;
};

/**
 * Wraps a remote storage with the resilience layers: fallback, denial cache, leases, and a circuit
 * breaker with timeouts. Returns a storage in this process's memory unchanged.
 */
export function resilient(
  storage: Storage,
  options: ResolvedResilience,
  listener: HealthListener,
): DecidingStorage {
  if (isLocal(storage)) return storage;
  const guarded = new CircuitBreakerStorage(storage, options, listener);
  const { lease, instances } = options;
  const leasing = lease === false ? guarded : new LeasingStorage(guarded, { ...lease, instances });
  const caching = options.denialCache ? new DenialCacheStorage(leasing) : leasing;
  return new FallbackStorage(caching, options);
}

/** Returns true for a storage that counts in this process, or wraps one that does. */
export function isLocal(storage: Storage): boolean {
  return storage instanceof WrappedStorage ? isLocal(storage.inner) : countsInProcess(storage);
}
