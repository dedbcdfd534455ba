import { Module } from '@nestjs/common';
import { TerminusModule } from '@nestjs/terminus';
import { RateLimitModule } from 'nestjs-limits';
import { RateLimitHealthIndicator } from 'nestjs-limits/terminus';
import { AppController } from './app.controller.js';
import { EventLog } from './event-log.js';
import { HealthController } from './health.controller.js';

/** Not the default port, since the steps of this sample stop this Redis. */
export const redisUrl = process.env['REDIS_URL'] ?? 'redis://localhost:6380';

@Module({
  imports: [
    RateLimitModule.forRoot({
      storage: redisUrl,
      // The defaults, except the faster probes: a decision takes 50 ms at most, and without Redis this process counts alone.
      resilience: { timeout: 50, onError: 'fallback', failureThreshold: 5, probeInterval: 250 },
    }),
    TerminusModule.forRoot({ logger: false }),
  ],
  controllers: [AppController, HealthController],
  providers: [EventLog, RateLimitHealthIndicator],
})
export class AppModule {}
