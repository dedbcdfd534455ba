import { Inject, Injectable } from '@nestjs/common';
import { HealthIndicatorService, type HealthIndicatorResult } from '@nestjs/terminus';
import { STORE_HEALTH } from '../options/rate-limit.tokens.js';
import type { StoreHealth } from '../storage/store-health.js';

/** What a health check makes of a store that does not answer. */
export interface RateLimitHealthOptions {
  /**
   * Whether the check fails (`down`, 503) while limits are decided without their store. Default: false, for the application goes
   * on: a readiness probe that failed whenever the store did would take all instances out of service at once, and a liveness probe
   * would restart them, which brings no store back.
   */
  failWhenDegraded?: boolean | undefined;
}

/**
 * Tells `@nestjs/terminus` how the store is that limits are counted in.
 *
 * - `up`: it answers, or is this process's memory.
 * - `degraded`: it does not, and the module decides without it, as `onError` says. The check passes. Terminus 11, which knows no such
 *   status, is told `up`, with `degraded: true`.
 * - `down`: it does not, and that fails the check: with `failWhenDegraded`, and always with `resilience: false`.
 *
 * Says `store`, which names the storage without credentials, `degraded`, and then `onError`. A store that was given up is not
 * asked, any other for no longer than a decision may take.
 *
 * Belongs to the providers of a module that imports `TerminusModule`.
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

  /** @param key by what the result is called */
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

/** What can be said to a version of terminus that knows no `degraded`. */
type Terminus11 = Pick<ReturnType<HealthIndicatorService['check']>, 'up'>;
