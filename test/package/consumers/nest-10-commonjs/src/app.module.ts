import { Controller, Get, Module } from '@nestjs/common';
import { RateLimit, RateLimiterService, RateLimitModule } from 'nestjs-limits';

@Controller()
class GreetingController {
  constructor(private readonly limiter: RateLimiterService) {}

  @Get('greeting')
  @RateLimit('3/minute')
  greet(): { greeting: string } {
    return { greeting: 'Hello' };
  }

  @Get('mail')
  async mail(): Promise<{ allowed: boolean }> {
    const { allowed } = await this.limiter.consume('1/hour', 'mails', 'user-42');
    return { allowed };
  }
}

@Module({ imports: [RateLimitModule.forRoot()], controllers: [GreetingController] })
export class AppModule {}
