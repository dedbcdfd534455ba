import { SKIP_METADATA } from '../options/rate-limit.tokens.js';
import { declaredOn, declareOn, type Decorated } from '../options/declaration.js';

/**
 * Exempts a handler, or all handlers of a class, from all limits or from those of the named policies. Repeatable.
 * On a class, its handlers' own limits still apply.
 *
 * @throws ConfigurationError while the application starts, if a named policy does not apply there
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
    const inner = (declaredOn(SKIP_METADATA, decorated) ?? []) as 'all' | readonly string[];
    const skips = policies.length === 0 || inner === 'all' ? 'all' : [...policies, ...inner];
    declareOn(SKIP_METADATA, skips, decorated);
  };
}
