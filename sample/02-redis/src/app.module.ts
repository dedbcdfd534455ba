import { Module } from '@nestjs/common';
import { RateLimitModule } from 'nestjs-limits';
import { AppController } from './app.controller.js';

@Module({
  imports: [
    RateLimitModule.forRootAsync({
      useFactory: () => ({ storage: process.env['REDIS_URL'] ?? 'redis://localhost:6379' }),
    }),
  ],
  controllers: [AppController],
})
export class AppModule {}
