import { Module, type DynamicModule } from '@nestjs/common';
import { RateLimitModule } from 'nestjs-limits';
import { AppController } from './app.controller.js';

@Module({ controllers: [AppController] })
export class AppModule {
  static on(uri: string): DynamicModule {
    return { module: AppModule, imports: [RateLimitModule.forRoot({ storage: uri })] };
  }
}
