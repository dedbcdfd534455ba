import { assertOptionsObject } from '../../common/options.js';
import { declarationOf, declaredOn, declareOn, type Decorated } from '../options/declaration.js';
import type {
  RateLimitDeclaration,
  RateLimitInput,
  RateLimitOptions,
} from '../options/rate-limit.options.js';
import { LIMITS_METADATA } from '../options/rate-limit.tokens.js';
import { limitConnections } from './connection-handler.js';

/**
 * Limits a handler, or all handlers of a class. Repeatable; every limit must allow a request, and a refused request takes from
 * none of them. Per name, a handler's limit replaces its class's, which replaces the module's; different names add up. On
 * `handleConnection` of a gateway it limits connections, and closes those that it refuses.
 *
 * @param limits one or several, for example `'10/minute; 100/hour'`; by plan, `{ free: '5/minute', pro: '100/minute' }`; or a
 * function that returns limits
 * @throws ConfigurationError while the application starts, naming the class and the handler, for an invalid limit or option
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
  limits: RateLimitInput,
  options: RateLimitOptions = {},
): ClassDecorator & MethodDecorator {
  assertOptionsObject('The options of @RateLimit', options);
  const declaration = declarationOf(
    '@RateLimit',
    "beside the limits: @RateLimit('5/minute', { name })",
    limits,
    options,
  );
  return (...decorated: Decorated) => {
    const [target, property, descriptor] = decorated;
    if (property === 'handleConnection' && descriptor !== undefined) limitConnections(target, descriptor);
    const inner = (declaredOn(LIMITS_METADATA, decorated) ?? []) as readonly RateLimitDeclaration[];
    declareOn(LIMITS_METADATA, [declaration, ...inner], decorated);
  };
}
