/**
 * Metrics by OpenTelemetry. Needs the package `@opentelemetry/api`.
 *
 * @packageDocumentation
 */

export { RateLimitMetricsModule } from './rate-limit-metrics.module.js';
export { RateLimitMetrics } from '../../observability/opentelemetry/rate-limit-metrics.js';
