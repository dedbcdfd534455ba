import { Module } from '@nestjs/common';
import { RateLimitModule } from 'nestjs-limits';
import { AdminController } from './admin.controller.js';
import { ApiKeyGuard } from './api-key.guard.js';
import { CustomerPlanResolver } from './customer-plan.resolver.js';
import { CustomersService } from './customers.service.js';
import { ReportsController } from './reports.controller.js';

@Module({
  imports: [
    RateLimitModule.forRoot({
      plan: CustomerPlanResolver,
      rules: [
        // Before authentication, by address. `continue` tries the next rules too.
        { id: 'address', path: '/**', limits: '300/minute', priority: 1, continue: true },
        // After authentication, by customer, as the plan allows.
        {
          id: 'api',
          path: '/api/**',
          plans: { free: '5/minute', pro: '50/minute', internal: 'unlimited' },
          key: 'user',
          phase: 'afterAuth',
        },
        // Blocks an address that guesses the administrator's key.
        { id: 'admin', path: '/admin/**', limits: '3/minute', count: 'failure', block: '15 minutes' },
      ],
    }),
  ],
  controllers: [ReportsController, AdminController],
  providers: [ApiKeyGuard, CustomerPlanResolver, CustomersService],
})
export class AppModule {}
