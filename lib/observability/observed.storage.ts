import { chain, isPromise, type Awaitable } from '../common/awaitable.js';
import type { BatchResult, Block, Cell, Hit, OnError, Settlement } from '../core/contract.js';
import { announceReturn } from '../core/returned-units.js';
import type { Storage } from '../core/storage.js';
import { WrappedStorage, type ObservableStorage } from '../core/wrapped.storage.js';
import type { StoreOperation } from '../resilience/circuit-breaker.storage.js';
import { isLocal, type DecidingStorage } from '../resilience/resilient-storage.js';
import type { RateLimitEvents } from './rate-limit-events.js';
import { RateLimitGauges } from './rate-limit-gauges.js';

/** Publishes an event for each decision of a storage, and for each change of a hit. */
export class ObservedStorage extends WrappedStorage implements ObservableStorage<DecidingStorage> {
  /** Its state, read by the classes of this copy of the package. */
  readonly gauges = new RateLimitGauges(this);

  constructor(
    private readonly deciding: DecidingStorage,
    private readonly events: RateLimitEvents,
  ) {
    super(deciding);
  }

  override consume(
    batch: readonly Hit[],
    onError?: OnError,
    isPending?: (result: BatchResult) => boolean,
  ): Awaitable<BatchResult> {
    return chain(this.deciding.consume(batch, onError), (result) => {
      if (result.allowed || isPending?.(result) !== true) this.events.decided(result);
      return result;
    });
  }

  async decideOnce<Result extends BatchResult>(
    calls: (storage: DecidingStorage) => Promise<Result>,
  ): Promise<Result> {
    const result = await calls(this.deciding);
    this.events.decided(result);
    return result;
  }

  override settle(settlements: readonly Settlement[]): Awaitable<BatchResult> {
    const settled = this.deciding.settle(settlements);
    if (!this.events.hasListeners('settled')) return settled;
    return chain(settled, (result) => {
      this.events.settled(settlements, result);
      return result;
    });
  }

  /** Also lets the callers that wait ask again. */
  override reset(): Awaitable<number> {
    return chain(this.deciding.reset(), (removed) => {
      announceReturn(this, undefined);
      return removed;
    });
  }
}

/** Publishes an event for each call of a store that has no circuit breaker, which would publish it. */
class ObservedStore extends WrappedStorage {
  constructor(
    inner: Storage,
    private readonly events: RateLimitEvents,
  ) {
    super(inner);
  }

  override consume(batch: readonly Hit[]): Awaitable<BatchResult> {
    return this.#observe('consume', () => this.inner.consume(batch));
  }

  override peek(batch: readonly Hit[]): Awaitable<BatchResult> {
    return this.#observe('peek', () => this.inner.peek(batch));
  }

  override settle(settlements: readonly Settlement[]): Awaitable<BatchResult> {
    return this.#observe('settle', () => this.inner.settle(settlements));
  }

  override block(blocks: readonly Block[]): Awaitable<void> {
    return this.#observe('block', () => this.inner.block(blocks));
  }

  override remove(cells: readonly Cell[]): Awaitable<void> {
    return this.#observe('remove', () => this.inner.remove(cells));
  }

  #observe<T>(operation: StoreOperation, call: () => Awaitable<T>): Awaitable<T> {
    const start = performance.now();
    const succeed = (value: T): T => {
      this.events.called(operation, start, 'ok');
      return value;
    };
    const fail = (error: unknown): never => {
      this.events.called(operation, start, 'error');
      throw error;
    };
    let answer: Awaitable<T>;
    try {
      answer = call();
    } catch (error) {
      return fail(error);
    }
    return isPromise(answer) ? answer.then(succeed, fail) : succeed(answer);
  }
}

/** Returns a storage that publishes the events of a storage without a circuit breaker. */
export function observed(storage: Storage, events: RateLimitEvents): ObservedStorage {
  return new ObservedStorage(isLocal(storage) ? storage : new ObservedStore(storage, events), events);
}
