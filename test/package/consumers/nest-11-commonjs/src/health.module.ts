import { Controller, Get, Module } from '@nestjs/common';
import { HealthCheck, HealthCheckService, TerminusModule, type HealthCheckResult } from '@nestjs/terminus';
import { RateLimitModule, SkipRateLimit } from 'nestjs-limits';
import { RateLimitHealthIndicator } from 'nestjs-limits/terminus';

@Controller('health')
@SkipRateLimit()
class HealthController {
  constructor(
    private readonly health: HealthCheckService,
    private readonly rateLimit: RateLimitHealthIndicator,
  ) {}

  @Get()
  @HealthCheck()
  check(): Promise<HealthCheckResult> {
    return this.health.check([() => this.rateLimit.isHealthy()]);
  }

  @Get('strict')
  @HealthCheck()
  checkStrictly(): Promise<HealthCheckResult> {
    return this.health.check([() => this.rateLimit.isHealthy('limits', { failWhenDegraded: true })]);
  }
}

/** No server listens on the port of its store. */
@Module({
  imports: [
    RateLimitModule.forRoot({ storage: 'memcached://127.0.0.1:1' }),
    TerminusModule.forRoot({ logger: false }),
  ],
  controllers: [HealthController],
  providers: [RateLimitHealthIndicator],
})
export class HealthModule {}
