import { Module } from '@nestjs/common';
import { RateLimitModule, requestOf } from 'nestjs-limits';
import { ApiKeyGuard, type GatewayRequest } from './api-key.guard.js';
import { CompletionsController } from './completions.controller.js';
import { CompletionsService } from './completions.service.js';
import { FakeModel } from './fake-model.js';
import { OrganisationsService } from './organisations.service.js';

@Module({
  imports: [
    RateLimitModule.forRoot({
      storage: process.env['REDIS_URL'] ?? 'memory://',
      plan: (context) => requestOf<GatewayRequest>(context)?.user?.plan,
    }),
  ],
  controllers: [CompletionsController],
  providers: [ApiKeyGuard, CompletionsService, FakeModel, OrganisationsService],
})
export class AppModule {}
