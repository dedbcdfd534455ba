import type { LimitInput } from '../../limits/limit-input.js';
import type { RateLimitDeclaration, RateLimitOptions } from '../rate-limit.options.js';
import { LIMITS_METADATA } from '../rate-limit.tokens.js';
import { declaredOn, targetOf, type Decorated } from './decorated.js';

/**
 * Limits a handler, or all handlers of a class. Repeatable; every limit must allow a request, and all are taken together or
 * none. Per name, a handler's limit replaces its class's, which replaces the module's; different names add up.
 *
 * @param limits one or several, for example `'10/minute; 100/hour'`
 * @throws ConfigurationError while the application starts, naming the class and the handler, when a limit or option is wrong
 * @example
 * ```ts
 * import { Controller, Get, Post } from '@nestjs/common';
 * import { RateLimit } from 'nestjs-limits';
 *
 * @Controller('users')
 * @RateLimit('100/minute')
 * class UsersController {
 *   @Get()
 *   findAll() {}
 *
 *   @Post()
 *   @RateLimit('10/minute; 100/day')
 *   @RateLimit('2/second', { name: 'burst', strategy: 'token-bucket', burst: 5 })
 *   create() {}
 * }
 * ```
 */
export function RateLimit(
  limits: LimitInput,
  options: RateLimitOptions = {},
): ClassDecorator & MethodDecorator {
  return (...decorated: Decorated) => {
    const inner = (declaredOn(LIMITS_METADATA, decorated) ?? []) as readonly RateLimitDeclaration[];
    Reflect.defineMetadata(LIMITS_METADATA, [{ ...options, limits }, ...inner], targetOf(decorated));
  };
}
