import { SKIP_METADATA } from '../rate-limit.tokens.js';
import { targetOf, type Decorated } from './decorated.js';

/**
 * Lets a handler, or all handlers of a class, pass uncounted: by every limit, or by those of the named policies. On a class,
 * its handlers' own limits still hold.
 *
 * @throws ConfigurationError while the application starts, when a named policy does not apply there
 * @example
 * ```ts
 * import { Controller, Get } from '@nestjs/common';
 * import { SkipRateLimit } from 'nestjs-limits';
 *
 * @Controller()
 * class HealthController {
 *   @Get('health')
 *   @SkipRateLimit()
 *   health() {
 *     return 'ok';
 *   }
 * }
 * ```
 */
export function SkipRateLimit(...policies: string[]): ClassDecorator & MethodDecorator {
  return (...decorated: Decorated) => {
    Reflect.defineMetadata(SKIP_METADATA, policies.length === 0 ? 'all' : policies, targetOf(decorated));
  };
}
