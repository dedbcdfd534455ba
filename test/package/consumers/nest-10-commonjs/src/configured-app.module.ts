import { Controller, Get, Injectable, Module } from '@nestjs/common';
import { MemoryStorage, RateLimitModule } from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';

@Injectable()
export class LimitsConfig {
  readonly limits = '2/minute';
  readonly clock = new ManualClock();
  readonly storage = new MemoryStorage({ clock: this.clock });
}

@Module({ providers: [LimitsConfig], exports: [LimitsConfig] })
class ConfigModule {}

@Controller()
class PingController {
  @Get('ping')
  ping(): { pong: boolean } {
    return { pong: true };
  }
}

@Module({
  imports: [
    RateLimitModule.forRootAsync({
      imports: [ConfigModule],
      inject: [LimitsConfig],
      useFactory: ({ limits, storage }: LimitsConfig) => ({ limits, storage }),
    }),
    ConfigModule,
  ],
  controllers: [PingController],
})
export class ConfiguredAppModule {}
