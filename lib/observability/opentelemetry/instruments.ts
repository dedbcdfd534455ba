import type { Histogram, Meter, MeterProvider } from '@opentelemetry/api';
import type { ObservedStorage } from '../observed.storage.js';
import type { RateLimitEvents } from '../rate-limit-events.js';
import type { NumbersByPolicy, RateLimitGauges } from '../rate-limit-gauges.js';
import { LimitTable, type Point } from './limit-counts.js';

/** The name of the meter. */
const METER = 'nestjs-limits';

/** Upper bounds of the buckets of `nestjs_limits.store.duration`, in seconds. */
const DURATION_BOUNDARIES = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

/**
 * The instruments of one meter provider. All storages of a process share them, since a provider
 * keeps one value per instrument and attributes.
 */
export class Instruments {
  readonly #limits = new LimitTable();
  readonly #duration: Histogram;
  /** The storages that are measured. Weak, so that a closed application can be collected. */
  readonly #storages = new Set<WeakRef<ObservedStorage>>();

  constructor(provider: MeterProvider) {
    const meter = provider.getMeter(METER);
    this.#duration = meter.createHistogram('nestjs_limits.store.duration', {
      description: 'Time of a call to the store.',
      unit: 's',
      advice: { explicitBucketBoundaries: DURATION_BOUNDARIES },
    });
    this.#countLimits(meter);
    this.#readGauges(meter);
  }

  /** Measures a storage by its events. */
  add(events: RateLimitEvents, storage: ObservedStorage): void {
    this.#storages.add(new WeakRef(storage));
    events.on('decision').subscribe(({ decision }) => {
      for (const outcome of decision.limits)
        this.#limits.countsOf(outcome.limit).decide(outcome, decision.degraded ?? 'none');
    });
    events.on('settled').subscribe(({ settled }) => {
      for (const { outcome, before } of settled)
        this.#limits.countsOf(outcome.limit).settle(before, outcome.cost);
    });
    events.on('call').subscribe(({ operation, result, duration }) => {
      this.#duration.record(duration / 1000, { operation, result });
    });
  }

  #countLimits(meter: Meter): void {
    const counters = [
      ['decisions', '{decision}', 'Decisions by limit and outcome.'],
      [
        'units',
        '{unit}',
        'Units by limit: taken by hits, returned by settlements, charged above a reservation.',
      ],
    ] as const;
    for (const [name, unit, description] of counters) {
      const counter = meter.createObservableCounter(`nestjs_limits.${name}`, { description, unit });
      counter.addCallback((result) => {
        for (const counts of this.#limits.all())
          for (const [value, attributes] of counts[name]()) result.observe(value, attributes);
      });
    }
  }

  #readGauges(meter: Meter): void {
    const gauges = [
      ['slots', 'slots', '{slot}', 'Slots of concurrent requests that this process holds.'],
      ['waiting', 'waiting', '{request}', 'Requests of this process that wait for a limit.'],
      ['memory.cells', 'memoryCells', '{cell}', 'Cells that count in the memory of this process.'],
    ] as const;
    for (const [name, property, unit, description] of gauges) {
      const sums = new PolicySums();
      const gauge = meter.createObservableUpDownCounter(`nestjs_limits.${name}`, { description, unit });
      gauge.addCallback((result) => {
        for (const [value, attributes] of sums.update(this.#gauges().map((one) => one[property])))
          result.observe(value, attributes);
      });
    }
    const circuit = meter.createObservableGauge('nestjs_limits.store.circuit', {
      description: '1 while the store is not called because it fails, else 0.',
      unit: '1',
    });
    circuit.addCallback((result) => {
      result.observe(this.#gauges().some(({ isCircuitOpen }) => isCircuitOpen) ? 1 : 0);
    });
  }

  #gauges(): RateLimitGauges[] {
    return [...this.#storages].flatMap((reference) => {
      const storage = reference.deref();
      if (storage === undefined) this.#storages.delete(reference);
      return storage === undefined ? [] : [storage.gauges];
    });
  }
}

/** Sums by policy. A policy that was seen once stays, with 0: else a gauge would keep its last value. */
class PolicySums {
  readonly #sums = new Map<string, number>();

  update(parts: readonly NumbersByPolicy[]): Point[] {
    for (const policy of this.#sums.keys()) this.#sums.set(policy, 0);
    for (const part of parts)
      for (const [policy, value] of part) this.#sums.set(policy, (this.#sums.get(policy) ?? 0) + value);
    return [...this.#sums].map(([policy, value]) => [value, { policy }]);
  }
}
