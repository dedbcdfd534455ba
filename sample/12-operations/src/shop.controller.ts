import { Body, Controller, Get, HttpCode, Post, UnauthorizedException } from '@nestjs/common';
import { RateLimit } from 'nestjs-limits';

@Controller()
export class ShopController {
  /** Limited by the rule of the module, which can be changed while the application runs. */
  @Get('search')
  search() {
    return [];
  }

  /** In shadow mode: the console shows what the limit would refuse. */
  @Get('suggestions')
  @RateLimit('10/minute', { name: 'suggestions', key: 'header:x-customer', mode: 'shadow' })
  suggest() {
    return [];
  }

  @Post('login')
  @HttpCode(200)
  @RateLimit('5/minute; 20/hour', { name: 'login', key: 'body:name', count: 'failure', block: '15 minutes' })
  login(@Body() { password }: { password?: string }) {
    if (password !== 'right') throw new UnauthorizedException();
    return { welcome: true };
  }
}
