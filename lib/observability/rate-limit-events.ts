import { channel } from 'node:diagnostics_channel';
import { merge, Observable, type Subscriber } from 'rxjs';
import { Decision } from '../core/decision.js';
import type { BatchResult, Outcome, Settlement } from '../core/contract.js';
import type { CallResult, StoreOperation } from '../resilience/circuit-breaker.storage.js';

/** A hit whose cost has changed after it was taken. */
export interface SettledHit {
  /** The hit after the change. Its `cost` is the units that it counts now. */
  readonly outcome: Outcome;
  /** Units that it counted before. */
  readonly before: number;
}

/**
 * An event of a limit or its store:
 *
 * - `decision`: a hit was decided. `refused` follows if it was refused, `near-limit` if less than a
 *   tenth of a limit is left
 * - `settled`: hits were refunded, charged more, or have released their slots
 * - `call`: a call to the store has ended. Nothing is published for a memory storage
 * - `error`: a call to the store failed or timed out; one event per kind of error and second
 * - `degraded`: the store has stopped responding; `recovered`: it responds again
 */
export type RateLimitEvent =
  | { readonly type: 'decision'; readonly decision: Decision }
  | { readonly type: 'refused'; readonly decision: Decision }
  | { readonly type: 'near-limit'; readonly decision: Decision }
  | { readonly type: 'settled'; readonly settled: readonly SettledHit[] }
  | {
      readonly type: 'call';
      readonly operation: StoreOperation;
      /** Ms. */
      readonly duration: number;
      /** `'timeout'` after the timeout of `resilience`. */
      readonly result: CallResult;
    }
  | { readonly type: 'error'; readonly error: Error }
  | { readonly type: 'degraded'; readonly error: Error }
  | { readonly type: 'recovered' };

type EventType = RateLimitEvent['type'];

/** The events of one type. */
type EventOf<Type extends EventType> = Extract<RateLimitEvent, { readonly type: Type }>;

/** Share of a limit below which `near-limit` is published. */
const NEAR = 0.1;

/** Publishes the events of one type. Calls its subscribers itself: a `Subject` takes twice the time. */
class Topic<Type extends EventType> {
  #subscribers: readonly Subscriber<EventOf<Type>>[] = [];
  readonly #channel;

  readonly events$ = new Observable<EventOf<Type>>((subscriber) => {
    this.#subscribers = [...this.#subscribers, subscriber];
    return () => {
      this.#subscribers = this.#subscribers.filter((other) => other !== subscriber);
    };
  });

  constructor(type: Type) {
    this.#channel = channel(`nestjs-limits:${type}`);
  }

  get hasListeners(): boolean {
    return this.#subscribers.length > 0 || this.#channel.hasSubscribers;
  }

  publish(event: EventOf<Type>): void {
    if (this.#channel.hasSubscribers) this.#channel.publish(event);
    for (const subscriber of this.#subscribers) subscriber.next(event);
  }
}

/**
 * Publishes events by RxJS and by the diagnostics channels `nestjs-limits:<type>`. Creates no event
 * of a type without a listener for that type.
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
  readonly #topics: { readonly [Type in EventType]: Topic<Type> } = {
    decision: new Topic('decision'),
    refused: new Topic('refused'),
    'near-limit': new Topic('near-limit'),
    settled: new Topic('settled'),
    call: new Topic('call'),
    error: new Topic('error'),
    degraded: new Topic('degraded'),
    recovered: new Topic('recovered'),
  };

  /** Emits every event from now on. */
  readonly events$: Observable<RateLimitEvent> = merge(
    ...Object.values(this.#topics).map((topic): Observable<RateLimitEvent> => topic.events$),
  );

  /** Emits the events of one type from now on. */
  on<Type extends EventType>(type: Type): Observable<EventOf<Type>> {
    return this.#topics[type].events$;
  }

  /** Returns true if events of a type have a listener. */
  hasListeners(type: EventType): boolean {
    return this.#topics[type].hasListeners;
  }

  /** Publishes the events of a decided batch. */
  decided(result: BatchResult): void {
    const { decision: decisions, refused, 'near-limit': near } = this.#topics;
    if (!decisions.hasListeners && !refused.hasListeners && !near.hasListeners) return;
    const decision = new Decision(result);
    decisions.publish({ type: 'decision', decision });
    if (!decision.allowed) refused.publish({ type: 'refused', decision });
    else if (near.hasListeners && decision.limits.some(isNear))
      near.publish({ type: 'near-limit', decision });
  }

  /** Publishes the changes of settlements. A renewal of a slot changes nothing. */
  settled(settlements: readonly Settlement[], { outcomes }: BatchResult): void {
    const settled = outcomes.flatMap((outcome, index) => {
      const before = settlements[index]?.cost ?? outcome.cost;
      return outcome.cost === before ? [] : [{ outcome, before }];
    });
    if (settled.length > 0) this.#topics.settled.publish({ type: 'settled', settled });
  }

  /**
   * Publishes a call of the store that ends now.
   *
   * @param start when it began, by `performance.now()`
   */
  called(operation: StoreOperation, start: number, result: CallResult): void {
    const { call } = this.#topics;
    if (call.hasListeners)
      call.publish({ type: 'call', operation, duration: performance.now() - start, result });
  }

  publish<Type extends EventType>(event: EventOf<Type> & { readonly type: Type }): void {
    const topic: Topic<Type> = this.#topics[event.type];
    topic.publish(event);
  }
}

function isNear({ limit, remaining }: Outcome): boolean {
  return limit.mode === 'enforce' && remaining < NEAR * limit.burst;
}
