import { Controller, Get } from '@nestjs/common';
import { HealthCheck, HealthCheckService } from '@nestjs/terminus';
import { SkipRateLimit } from 'nestjs-limits';
import { RateLimitHealthIndicator } from 'nestjs-limits/terminus';

@Controller('health')
@SkipRateLimit()
export class HealthController {
  constructor(
    private readonly health: HealthCheckService,
    private readonly rateLimit: RateLimitHealthIndicator,
  ) {}

  /** Passes while Redis is down, since the application works without it. */
  @Get()
  @HealthCheck()
  check() {
    return this.health.check([() => this.rateLimit.isHealthy()]);
  }
}
