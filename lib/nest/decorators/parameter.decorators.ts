import { createParamDecorator, Inject, type ExecutionContext } from '@nestjs/common';
import type { Decision } from '../../core/decision.js';
import { RATE_LIMIT_STORAGE } from '../options/rate-limit.tokens.js';
import { stateForParameter } from '../request/request-state.js';

/**
 * Injects the storage of the module.
 *
 * @example
 * ```ts
 * import { Injectable } from '@nestjs/common';
 * import { InjectRateLimitStorage, Storage } from 'nestjs-limits';
 *
 * @Injectable()
 * class HealthService {
 *   constructor(@InjectRateLimitStorage() private readonly storage: Storage) {}
 *
 *   isHealthy() {
 *     return this.storage.check();
 *   }
 * }
 * ```
 */
export function InjectRateLimitStorage(): PropertyDecorator & ParameterDecorator {
  return Inject(RATE_LIMIT_STORAGE);
}

/**
 * Passes the decision on the request to a handler; `undefined` if no limit applied.
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
