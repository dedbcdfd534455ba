import { Module, type DynamicModule } from '@nestjs/common';
import { RateLimitModule } from 'nestjs-limits';
import { RateLimitConsoleModule } from 'nestjs-limits/console';
import { RulesController } from './rules.controller.js';
import { ShopController } from './shop.controller.js';

@Module({
  // In production: { guards: [AdminGuard] }.
  imports: [RateLimitConsoleModule.forRoot({ open: true })],
  controllers: [ShopController],
})
export class AppModule {
  /** @param redis the URI of the store that instances share; absent to count in memory */
  static on(redis: string | undefined): DynamicModule {
    // The timeout is long, for a busy machine.
    const store = { storage: redis, settings: { shared: true }, resilience: { timeout: 1000 } };
    const rateLimits = RateLimitModule.forRoot({
      ...(redis === undefined ? {} : store),
      limits: [{ name: 'all', limits: '100000/minute' }],
      rules: [{ id: 'search', path: '/search', limits: '20/minute', key: 'header:x-customer' }],
    });
    return {
      module: AppModule,
      imports: [rateLimits],
      controllers: redis === undefined ? [] : [RulesController],
    };
  }
}
