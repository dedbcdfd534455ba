import { Module, type DynamicModule } from '@nestjs/common';
import { RateLimitModule } from 'nestjs-limits';
import { AppController } from './app.controller.js';

@Module({ controllers: [AppController] })
export class AppModule {
  static on(uri: string): DynamicModule {
    // The start waits for the server, and creates its tables.
    const rateLimits = RateLimitModule.forRoot({ storage: uri, startWithoutStore: false });
    return { module: AppModule, imports: [rateLimits] };
  }
}
