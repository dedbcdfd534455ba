import { Inject } from '@nestjs/common';
import { RATE_LIMIT_STORAGE } from '../options/rate-limit.tokens.js';

/**
 * Injects the storage that limits are counted in.
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
