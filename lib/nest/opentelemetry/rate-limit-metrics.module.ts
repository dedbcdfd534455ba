import { Inject, Module, type OnModuleInit } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { RateLimitMetrics } from '../../observability/opentelemetry/rate-limit-metrics.js';
import type { ObservedStorage } from '../../observability/observed.storage.js';
import type { RateLimitEvents } from '../../observability/rate-limit-events.js';
import { findProvider } from '../options/find-provider.js';
import { DECIDING_STORAGE, RATE_LIMIT_EVENTS } from '../options/rate-limit.tokens.js';

/**
 * Records the metrics of `RateLimitModule` by the global meter provider of OpenTelemetry. Start the SDK
 * before the application.
 *
 * @throws ConfigurationError while the application starts, if it has no `RateLimitModule`
 * @example
 * ```ts
 * import { Module } from '@nestjs/common';
 * import { RateLimitModule } from 'nestjs-limits';
 * import { RateLimitMetricsModule } from 'nestjs-limits/opentelemetry';
 *
 * @Module({
 *   imports: [RateLimitModule.forRoot({ limits: '100/minute' }), RateLimitMetricsModule],
 * })
 * class AppModule {}
 * ```
 */
@Module({})
export class RateLimitMetricsModule implements OnModuleInit {
  constructor(@Inject(ModuleRef) private readonly modules: ModuleRef) {}

  /** Adds the storage of the module to the instruments. */
  onModuleInit(): void {
    const [events, storage] = [RATE_LIMIT_EVENTS, DECIDING_STORAGE].map((token) =>
      findProvider(this.modules, token, 'RateLimitMetricsModule'),
    );
    new RateLimitMetrics().add(events as RateLimitEvents, storage as ObservedStorage);
  }
}
