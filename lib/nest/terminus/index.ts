export { RateLimitHealthIndicator, type RateLimitHealthOptions } from './rate-limit.health.js';
