import { Module } from '@nestjs/common';
import { RateLimitModule } from 'nestjs-limits';
import { AppController } from './app.controller.js';

@Module({
  imports: [RateLimitModule.forRoot()],
  controllers: [AppController],
})
export class AppModule {}
