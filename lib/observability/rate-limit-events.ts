import { channel, type Channel } from 'node:diagnostics_channel';
import { Subject, type Observable } from 'rxjs';
import { chain, type Awaitable } from '../common/awaitable.js';
import { Decision } from '../core/decision.js';
import type { BatchResult, Hit, OnError, Outcome } from '../core/contract.js';
import { WrappedStorage, type ObservableStorage } from '../core/wrapped.storage.js';
import type { DecidingStorage } from '../resilience/resilient-storage.js';

/**
 * An event of a limit or its store:
 *
 * - `decision`: a hit was decided. `refused` follows if it was refused, `near-limit` if less than a
 *   tenth of a limit is left
 * - `error`: a call to the store failed or timed out; one event per kind of error and second
 * - `degraded`: the store has stopped responding; `recovered`: it responds again
 */
export type RateLimitEvent =
  | { readonly type: 'decision' | 'refused' | 'near-limit'; readonly decision: Decision }
  | { readonly type: 'error' | 'degraded'; readonly error: Error }
  | { readonly type: 'recovered' };

type EventType = RateLimitEvent['type'];

const TYPES: readonly EventType[] = ['decision', 'refused', 'near-limit', 'error', 'degraded', 'recovered'];

/** Share of a limit below which `near-limit` is published. */
const NEAR = 0.1;

/**
 * Publishes events by RxJS and by the diagnostics channels `nestjs-limits:<type>`. Creates no event
 * without a listener.
 *
 * A listener that throws breaks neither the request nor other listeners. RxJS and Node report its
 * error later as an uncaught exception, which ends the process if the application does not handle
 * it.
 *
 * @example
 * ```ts
 * import { subscribe } from 'node:diagnostics_channel';
 *
 * subscribe('nestjs-limits:refused', (event) => console.log(event));
 * ```
 */
export class RateLimitEvents {
  readonly #subject = new Subject<RateLimitEvent>();
  readonly #channels = new Map<EventType, Channel>(
    TYPES.map((type) => [type, channel(`nestjs-limits:${type}`)]),
  );
  readonly #decisionChannels = (['decision', 'refused', 'near-limit'] as const).map((type) =>
    this.#channelOf(type),
  );

  /** Emits every event from now on. */
  get events$(): Observable<RateLimitEvent> {
    return this.#subject.asObservable();
  }

  /** Publishes the events of a decided batch. */
  decided(result: BatchResult): void {
    if (!this.#subject.observed && !this.#decisionChannels.some(({ hasSubscribers }) => hasSubscribers))
      return;
    const decision = new Decision(result);
    this.publish({ type: 'decision', decision });
    if (!decision.allowed) this.publish({ type: 'refused', decision });
    else if (decision.limits.some(isNear)) this.publish({ type: 'near-limit', decision });
  }

  publish(event: RateLimitEvent): void {
    const typeChannel = this.#channelOf(event.type);
    if (typeChannel.hasSubscribers) typeChannel.publish(event);
    if (this.#subject.observed) this.#subject.next(event);
  }

  #channelOf(type: EventType): Channel {
    return this.#channels.get(type) as Channel;
  }
}

function isNear({ limit, remaining }: Outcome): boolean {
  return limit.mode === 'enforce' && remaining < NEAR * limit.burst;
}

/** Publishes an event for each decision of a storage. */
export class ObservedStorage extends WrappedStorage implements ObservableStorage<DecidingStorage> {
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
}
