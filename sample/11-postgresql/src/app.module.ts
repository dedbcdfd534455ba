import { Module, type DynamicModule } from '@nestjs/common';
import { RateLimitModule } from 'nestjs-limits';
import { AppController } from './app.controller.js';

@Module({ controllers: [AppController] })
export class AppModule {
  static on(uri: string): DynamicModule {
    // The start creates the tables, and fails without the server. The timeout is long, for a busy machine.
    const resilience = { startWithoutStore: false, timeout: 1000 };
    const rateLimits = RateLimitModule.forRoot({ storage: uri, resilience });
    return { module: AppModule, imports: [rateLimits] };
  }
}
