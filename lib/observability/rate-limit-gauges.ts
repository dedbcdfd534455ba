import type { Storage } from '../core/storage.js';
import { WrappedStorage } from '../core/wrapped.storage.js';
import { queueOf } from '../limiter/fair-queue.js';
import { slotsHeldIn } from '../limiter/held-slots.js';
import { CircuitBreakerStorage } from '../resilience/circuit-breaker.storage.js';
import { FallbackStorage } from '../resilience/fallback.storage.js';
import { MemoryStorage } from '../storages/memory/memory.storage.js';

/** Numbers by the name of a policy. */
export type NumbersByPolicy = ReadonlyMap<string, number>;

/** The present state of a storage in this process. Each getter reads the current value, so a reader needs no timer. */
export class RateLimitGauges {
  /** @param storage the storage that decides: the outermost one, which requests and limiters use */
  constructor(private readonly storage: Storage) {}

  /** Slots of concurrent requests that this process holds. */
  get slots(): NumbersByPolicy {
    return slotsHeldIn(this.storage);
  }

  /** Requests of this process that wait for a limit. */
  get waiting(): NumbersByPolicy {
    return queueOf(this.storage).waiting();
  }

  /** Cells in the memory of this process: those of a memory storage, or of the fallback of a remote one. */
  get memoryCells(): NumbersByPolicy {
    const memory = layerOf(this.storage, FallbackStorage)?.local ?? layerOf(this.storage, MemoryStorage);
    return memory?.cellsByPolicy() ?? new Map();
  }

  /** True while the store is not called because it fails. */
  get isCircuitOpen(): boolean {
    return layerOf(this.storage, CircuitBreakerStorage)?.isOpen ?? false;
  }
}

/** Returns the storage of a class in a storage and those that it wraps. */
function layerOf<Layer extends Storage>(
  storage: Storage,
  layer: abstract new (...options: never[]) => Layer,
): Layer | undefined {
  if (storage instanceof layer) return storage;
  return storage instanceof WrappedStorage ? layerOf(storage.inner, layer) : undefined;
}
