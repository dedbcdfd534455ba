import { Module } from '@nestjs/common';
import { RateLimitModule } from 'nestjs-limits';
import { ChatGateway } from './chat.gateway.js';

@Module({
  imports: [RateLimitModule.forRoot()],
  providers: [ChatGateway],
})
export class AppModule {}
