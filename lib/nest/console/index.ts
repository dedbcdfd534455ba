/**
 * A page that shows limits at work.
 *
 * @packageDocumentation
 */

export { RateLimitConsoleModule } from './rate-limit-console.module.js';
export type { RateLimitConsoleOptions } from './console.options.js';
