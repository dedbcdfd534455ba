import type { RateLimitModuleOptions } from './options/rate-limit.options.js';

/** The options that {@link throttlerCompatible} sets. */
export type ThrottlerCompatibleOptions = Required<
  Pick<RateLimitModuleOptions, 'strategy' | 'block' | 'headers' | 'errorFormat'>
>;

/**
 * Returns options of the module that make it answer as `@nestjs/throttler` 6: moving windows, a block for the length of the window
 * after a refusal, `X-RateLimit-*` and `Retry-After` fields named by their limit, on HTTP responses of GraphQL too, and the body
 * `{ statusCode, message }`. Options after it replace single ones. Give limits of the module `scope: 'route'`, since the throttler
 * counts each handler separately.
 *
 * @example
 * ```ts
 * import { Module } from '@nestjs/common';
 * import { RateLimitModule, throttlerCompatible } from 'nestjs-limits';
 *
 * @Module({
 *   imports: [
 *     RateLimitModule.forRoot({ ...throttlerCompatible(), limits: [{ limits: '10/minute', scope: 'route' }] }),
 *   ],
 * })
 * class AppModule {}
 * ```
 */
export function throttlerCompatible(): ThrottlerCompatibleOptions {
  return {
    strategy: 'moving-window',
    block: 'window',
    headers: { standard: false, legacy: { perLimit: true }, graphql: true },
    errorFormat: 'throttler',
  };
}
