import { chain, type Awaitable } from '../common/awaitable.js';
import type { OnError } from '../common/on-error.js';
import type { DecidingStorage } from '../resilience/resilient-storage.js';
import type { BatchResult, Hit } from '../core/contract.js';
import { WrappedStorage } from '../core/wrapped.storage.js';
import type { RateLimitEvents } from './rate-limit-events.js';

/** A storage whose decisions are told. */
export class ObservedStorage extends WrappedStorage {
  constructor(
    private readonly deciding: DecidingStorage,
    private readonly events: RateLimitEvents,
  ) {
    super(deciding);
  }

  override consume(batch: readonly Hit[], onError?: OnError): Awaitable<BatchResult> {
    return chain(this.deciding.consume(batch, onError), (result) => {
      this.events.decided(result);
      return result;
    });
  }
}
