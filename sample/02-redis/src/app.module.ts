import { Module } from '@nestjs/common';
import { RateLimitModule } from 'nestjs-limits';
import { AppController } from './app.controller.js';

const redisUrl = process.env['REDIS_URL'] ?? 'redis://localhost:6379';

@Module({
  imports: [RateLimitModule.forRootAsync({ useFactory: () => ({ storage: redisUrl }) })],
  controllers: [AppController],
})
export class AppModule {}
