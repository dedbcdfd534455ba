import { metrics, type MeterProvider } from '@opentelemetry/api';
import type { Storage } from '../../core/storage.js';
import { observed, type ObservedStorage } from '../observed.storage.js';
import { RateLimitEvents } from '../rate-limit-events.js';
import { Instruments } from './instruments.js';

const instruments = new WeakMap<MeterProvider, Instruments>();

/**
 * Measures limits by OpenTelemetry, without Nest. In an application with `RateLimitModule`, import
 * `RateLimitMetricsModule` instead.
 *
 * Several instances with one meter provider add to the same instruments. Attributes name policies and
 * limits, never an identity.
 *
 * @example
 * ```ts
 * import { FixedWindowRateLimiter, MemoryStorage } from 'nestjs-limits';
 * import { RateLimitMetrics } from 'nestjs-limits/opentelemetry';
 *
 * const storage = new RateLimitMetrics().observe(new MemoryStorage());
 * const limiter = new FixedWindowRateLimiter(storage);
 * ```
 */
export class RateLimitMetrics {
  readonly #instruments: Instruments;

  /** @param provider default: the global one, which the SDK registers. Before it is registered, nothing is recorded */
  constructor(provider: MeterProvider = metrics.getMeterProvider()) {
    const known = instruments.get(provider);
    this.#instruments = known ?? new Instruments(provider);
    if (known === undefined) instruments.set(provider, this.#instruments);
  }

  /** Returns a storage that counts in the given one, and is measured. Closing it closes both. */
  observe(storage: Storage): Storage {
    const events = new RateLimitEvents();
    const measured = observed(storage, events);
    this.add(events, measured);
    return measured;
  }

  /** @internal Measures a storage that publishes events. */
  add(events: RateLimitEvents, storage: ObservedStorage): void {
    this.#instruments.add(events, storage);
  }
}
