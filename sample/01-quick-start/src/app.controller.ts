import { Controller, Get, HttpCode, Post } from '@nestjs/common';
import { RateLimit, RateLimitInfo, SkipRateLimit, type Decision } from 'nestjs-limits';

@Controller()
export class AppController {
  @Get()
  @RateLimit('5/minute')
  hello(@RateLimitInfo() decision?: Decision) {
    return { message: 'Hello!', remaining: decision?.remaining };
  }

  @Post('login')
  @HttpCode(200)
  @RateLimit('3/minute; 20/hour')
  login() {
    return { message: 'Welcome back.' };
  }

  @Get('free')
  @SkipRateLimit()
  free() {
    return { message: 'As often as you like.' };
  }

  @Get('report')
  @RateLimit('60/minute', { strategy: 'token-bucket', burst: 10 })
  report() {
    return { message: 'Ten at once, then one per second.' };
  }
}
