import { Controller, Get } from '@nestjs/common';
import { RateLimit, RateLimitInfo, type Decision } from 'nestjs-limits';

@Controller()
export class AppController {
  @Get()
  @RateLimit('5/minute; 100/day', { strategy: 'sliding-window-counter' })
  hello(@RateLimitInfo() decision?: Decision) {
    return { message: 'Hello!', remaining: decision?.remaining };
  }
}
