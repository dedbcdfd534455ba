import { Inject, Injectable, type OnModuleDestroy } from '@nestjs/common';
import type { Subscription } from 'rxjs';
import { BoundedMap } from '../../common/bounded-map.js';
import { messageOf } from '../../common/describe.js';
import type { Outcome } from '../../core/contract.js';
import type { Decision } from '../../core/decision.js';
import type { Limit } from '../../core/limit.js';
import { Latencies } from '../../observability/latencies.js';
import type { ObservedStorage } from '../../observability/observed.storage.js';
import type { RateLimitEvents } from '../../observability/rate-limit-events.js';
import type { NumbersByPolicy } from '../../observability/rate-limit-gauges.js';
import { SERIES_SECONDS } from '../../observability/second-series.js';
import { DECIDING_STORAGE, RATE_LIMIT_EVENTS, STORE_HEALTH } from '../options/rate-limit.tokens.js';
import type { StoreHealth } from '../storage/store-health.js';
import type { Counts, ErrorView, StoreView } from './console-messages.js';
import { PolicyCounter, RequestCounter, type LimitCounter } from './policy-counter.js';

/** Policies that are counted apart; limits by hand may have any number of names. */
const MAX_POLICIES = 1000;
/** Errors of the store that are shown. */
const MAX_ERRORS = 20;

/** The counts of a second: of all decisions, and of the policies that have decided, by number. */
export interface SecondCounts {
  readonly total: Counts;
  readonly counts: Readonly<Record<number, Counts>>;
}

/**
 * Counts the events of the module, in bounded memory. The path of a request only increments numbers; a sample each
 * second turns them into series.
 */
@Injectable()
export class ConsoleRecorder implements OnModuleDestroy {
  /** All decisions. */
  readonly total = new RequestCounter();
  readonly #policies = new Map<string, PolicyCounter>();
  readonly #limits = new WeakMap<Limit, LimitCounter>();
  /** The last limit and its counter: requests in a row often meet the same one. */
  #lastLimit: Limit | undefined;
  #lastCounter: LimitCounter | undefined;
  readonly #latencies = new Latencies();
  readonly #errors = new BoundedMap<ErrorView>(MAX_ERRORS);
  readonly #withoutStore = { allow: 0, fallback: 0 };
  #degradedSince: number | undefined;
  /** Number of the current decision. */
  #decision = 0;
  #second = currentSecond();
  readonly #subscriptions: readonly Subscription[];

  constructor(
    @Inject(RATE_LIMIT_EVENTS) events: RateLimitEvents,
    @Inject(STORE_HEALTH) private readonly health: StoreHealth,
    @Inject(DECIDING_STORAGE) private readonly storage: ObservedStorage,
  ) {
    this.#subscriptions = [
      events.on('decision').subscribe(({ decision }) => this.#recordDecision(decision)),
      events.on('call').subscribe(({ duration }) => this.#latencies.add(duration)),
      events.on('error').subscribe(({ error }) => this.#recordError(error)),
      events.on('degraded').subscribe(({ error }) => {
        this.#degradedSince = Date.now();
        this.#recordError(error);
      }),
      events.on('recovered').subscribe(() => (this.#degradedSince = undefined)),
    ];
  }

  onModuleDestroy(): void {
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
  }

  /** The newest second of the series. */
  get second(): number {
    return this.#second;
  }

  get policies(): Iterable<PolicyCounter> {
    return this.#policies.values();
  }

  /** Returns the counter of a policy; beyond a number of policies, a common one. */
  counterOf(where: string | undefined, name: string): PolicyCounter {
    const key = JSON.stringify([where, name]);
    const known = this.#policies.get(key);
    if (known !== undefined) return known;
    if (this.#policies.size >= MAX_POLICIES && key !== OTHERS) return this.counterOf(...OTHER_POLICIES);
    const counter = new PolicyCounter(this.#policies.size, name, where);
    this.#policies.set(key, counter);
    return counter;
  }

  /** Ends the current second, and those that a busy process has missed. */
  sample(second = currentSecond()): SecondCounts {
    for (let missed = Math.max(this.#second + 1, second - SERIES_SECONDS); missed < second; missed++)
      for (const counter of [this.total, ...this.#policies.values()]) counter.skip(missed);
    if (Math.floor(second / 60) !== Math.floor(this.#second / 60)) this.#latencies.beginMinute();
    this.#second = second;
    const counts: Record<number, Counts> = {};
    for (const policy of this.#policies.values()) {
      const sampled = policy.sample(second);
      if (sampled.requests > 0) counts[policy.id] = sampled;
    }
    return { total: this.total.sample(second), counts };
  }

  /** The state of the store. */
  get store(): StoreView {
    const { store: name, onError } = this.health;
    const { slots, waiting } = this.storage.gauges;
    return {
      name,
      circuit: this.#degradedSince === undefined ? 'closed' : 'open',
      ...(onError === undefined ? {} : { onError }),
      ...(this.#degradedSince === undefined ? {} : { degradedSince: this.#degradedSince }),
      allowed: this.#withoutStore.allow,
      fallback: this.#withoutStore.fallback,
      slots: sumOf(slots),
      waiting: sumOf(waiting),
      calls: this.#latencies.summary(),
      errors: this.#errors.values().reverse(),
    };
  }

  #recordDecision({ allowed, limits, degraded }: Decision): void {
    const decision = ++this.#decision;
    this.total.requests++;
    if (!allowed) this.total.refused++;
    if (degraded !== undefined) this.#withoutStore[degraded]++;
    for (const outcome of limits) {
      const counter = this.#counterOf(outcome.limit);
      const { policy } = counter;
      if (policy.lastCounted !== decision) {
        policy.lastCounted = decision;
        policy.requests++;
      }
      if (!outcome.allowed) this.#recordRefusal(counter, outcome, decision);
    }
  }

  #recordRefusal(counter: LimitCounter, { identity, limit }: Outcome, decision: number): void {
    const { policy } = counter;
    counter.refusals++;
    if (limit.mode === 'shadow') {
      for (const each of [policy, this.total]) {
        if (each.lastShadow === decision) continue;
        each.lastShadow = decision;
        each.shadow++;
      }
    } else if (policy.lastRefused !== decision) {
      policy.lastRefused = decision;
      policy.refused++;
      policy.identities.add(identity);
    }
  }

  #counterOf(limit: Limit): LimitCounter {
    if (limit === this.#lastLimit && this.#lastCounter !== undefined) return this.#lastCounter;
    let counter = this.#limits.get(limit);
    if (counter === undefined) {
      counter = this.counterOf(limit.where, limit.policy).counterOf(limit);
      this.#limits.set(limit, counter);
    }
    this.#lastLimit = limit;
    this.#lastCounter = counter;
    return counter;
  }

  #recordError(error: Error): void {
    const message = messageOf(error);
    const count = (this.#errors.get(message)?.count ?? 0) + 1;
    this.#errors.set(message, { message, at: Date.now(), count });
  }
}

const OTHER_POLICIES = [undefined, 'others'] as const;
const OTHERS = JSON.stringify(OTHER_POLICIES);

function sumOf(numbers: NumbersByPolicy): number {
  return [...numbers.values()].reduce((sum, one) => sum + one, 0);
}

/** Epoch seconds, by a clock that never goes back. */
function currentSecond(): number {
  return Math.floor((performance.timeOrigin + performance.now()) / 1000);
}
