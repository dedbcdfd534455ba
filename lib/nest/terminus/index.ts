/**
 * The state of the store, for health checks. Needs the package `@nestjs/terminus`.
 *
 * @packageDocumentation
 */

export { RateLimitHealthIndicator, type RateLimitHealthOptions } from './rate-limit.health.js';
