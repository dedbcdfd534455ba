import { channel, type Channel } from 'node:diagnostics_channel';
import { Subject, type Observable } from 'rxjs';
import { chain, type Awaitable } from '../common/awaitable.js';
import { Decision } from '../core/decision.js';
import type { BatchResult, Hit, OnError, Outcome } from '../core/contract.js';
import { WrappedStorage } from '../core/wrapped.storage.js';
import type { DecidingStorage } from '../resilience/resilient-storage.js';

/**
 * What happens to limits, as it happens:
 *
 * - `decision`: a hit was decided; `refused`, that it was refused, and `near-limit`, that less than a tenth of a limit is left, follow it
 * - `error`: a call that reached the store failed, or was not answered in time
 * - `degraded`: the store has stopped answering; `recovered`: it is back
 */
export type RateLimitEvent =
  | { readonly type: 'decision' | 'refused' | 'near-limit'; readonly decision: Decision }
  | { readonly type: 'error' | 'degraded'; readonly error: Error }
  | { readonly type: 'recovered' };

type EventType = RateLimitEvent['type'];

const TYPES: readonly EventType[] = ['decision', 'refused', 'near-limit', 'error', 'degraded', 'recovered'];

/** The share of a limit below which it is nearly used up. */
const NEAR = 0.1;

/**
 * Tells whoever listens, by RxJS or by the diagnostics channels `nestjs-limits:<type>`. Nothing is made for nobody.
 *
 * A listener that throws breaks neither the request nor other listeners: RxJS and Node report its error later, as an uncaught
 * exception, which ends the process unless somebody handles it.
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
  readonly #ofDecisions = (['decision', 'refused', 'near-limit'] as const).map((type) =>
    this.#channelOf(type),
  );

  /** Everything that happens from now on. */
  get events$(): Observable<RateLimitEvent> {
    return this.#subject.asObservable();
  }

  /** A batch was decided. */
  decided(result: BatchResult): void {
    if (!this.#subject.observed && !this.#ofDecisions.some(({ hasSubscribers }) => hasSubscribers)) return;
    const decision = new Decision(result);
    this.tell({ type: 'decision', decision });
    if (!decision.allowed) this.tell({ type: 'refused', decision });
    else if (decision.limits.some(isNear)) this.tell({ type: 'near-limit', decision });
  }

  tell(event: RateLimitEvent): void {
    const heard = this.#channelOf(event.type);
    if (heard.hasSubscribers) heard.publish(event);
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
