import { Module } from '@nestjs/common';
import { RateLimitModule } from 'nestjs-limits';
import { RateLimitConsoleModule } from 'nestjs-limits/console';
import { ShopController } from './shop.controller.js';

@Module({
  imports: [
    RateLimitModule.forRoot({ limits: [{ name: 'all', limits: '100000/minute' }] }),
    // In production: { guards: [AdminGuard] }.
    RateLimitConsoleModule.forRoot({ open: true }),
  ],
  controllers: [ShopController],
})
export class AppModule {}
