import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { Decision } from '../../core/decision.js';
import { stateForParameter } from '../transports/transports.js';

/**
 * The decision on this request, as a handler's argument; `undefined` when no limit applied.
 *
 * @example
 * ```ts
 * import { Controller, Get } from '@nestjs/common';
 * import { RateLimit, RateLimitInfo, type Decision } from 'nestjs-limits';
 *
 * @Controller()
 * class QuotaController {
 *   @Get('quota')
 *   @RateLimit('10/minute')
 *   quota(@RateLimitInfo() decision?: Decision) {
 *     return { remaining: decision?.remaining };
 *   }
 * }
 * ```
 */
export const RateLimitInfo: () => ParameterDecorator = createParamDecorator(
  (_data: unknown, context: ExecutionContext): Decision | undefined => stateForParameter(context)?.decision,
);
