import { Inject, Injectable } from '@nestjs/common';
import { HealthIndicatorService, type HealthIndicatorResult } from '@nestjs/terminus';
import { STORE_HEALTH } from '../options/rate-limit.tokens.js';
import type { StoreHealth } from '../storage/store-health.js';

/** Options of {@link RateLimitHealthIndicator.isHealthy}. */
export interface RateLimitHealthOptions {
  /**
   * True to fail the check (`down`, 503) while limits are decided without their store. Default:
   * false, since the application still works. A readiness probe that failed with the store would
   * remove all instances from service together, and a liveness probe would restart them without
   * need.
   */
  failWhenDegraded?: boolean | undefined;
}

/**
 * Reports the state of the store to `@nestjs/terminus`.
 *
 * - `up`: the store responds, or is the memory of this process.
 * - `degraded`: the store does not respond, and the module decides by `onError`. The check passes.
 *   Terminus 11 has no such status and gets `up`, with `degraded: true`.
 * - `down`: the store does not respond, and the check fails: with `failWhenDegraded`, and always
 *   with `resilience: false`.
 *
 * The result has `store`, the name of the storage without credentials, `degraded` and, without the
 * store, `onError`. A store whose circuit is open is not called. Any other is called with the
 * timeout of a decision.
 *
 * Add it to the providers of a module that imports `TerminusModule`.
 *
 * @example
 * ```ts
 * import { Controller, Get, Module } from '@nestjs/common';
 * import { HealthCheck, HealthCheckService, TerminusModule } from '@nestjs/terminus';
 * import { SkipRateLimit } from 'nestjs-limits';
 * import { RateLimitHealthIndicator } from 'nestjs-limits/terminus';
 *
 * @Controller('health')
 * @SkipRateLimit()
 * class HealthController {
 *   constructor(
 *     private readonly health: HealthCheckService,
 *     private readonly rateLimit: RateLimitHealthIndicator,
 *   ) {}
 *
 *   @Get()
 *   @HealthCheck()
 *   check() {
 *     return this.health.check([() => this.rateLimit.isHealthy()]);
 *   }
 * }
 *
 * @Module({
 *   imports: [TerminusModule],
 *   controllers: [HealthController],
 *   providers: [RateLimitHealthIndicator],
 * })
 * class HealthModule {}
 * ```
 */
@Injectable()
export class RateLimitHealthIndicator {
  constructor(
    @Inject(STORE_HEALTH) private readonly health: StoreHealth,
    @Inject(HealthIndicatorService) private readonly indicators: HealthIndicatorService,
  ) {}

  /**
   * Returns the state of the store.
   *
   * @param key name of the result
   */
  async isHealthy<const Key extends string = 'rate-limit'>(
    key: Key = 'rate-limit' as Key,
    { failWhenDegraded = false }: RateLimitHealthOptions = {},
  ): Promise<HealthIndicatorResult<Key>> {
    const indicator = this.indicators.check(key);
    const { store, onError } = this.health;
    if (await this.health.answers()) return indicator.up({ store, degraded: false });
    if (onError === undefined) return indicator.down({ store, degraded: false });
    const details = { store, degraded: true, onError };
    if (failWhenDegraded) return indicator.down(details);
    return 'degraded' in indicator ? indicator.degraded(details) : (indicator as Terminus11).up(details);
  }
}

/** The methods of Terminus versions without `degraded`. */
type Terminus11 = Pick<ReturnType<HealthIndicatorService['check']>, 'up'>;
