/**
 * An application limited by `@nestjs/throttler` over a storage of this library, on the platform
 * named by the argument. Prints its URL. Runs in a separate process, since Jest cannot load a
 * CommonJS package that requires NestJS 12. POST /clock/<ms> sets the clock.
 */
import { Controller, Get, Module, Param, Post } from '@nestjs/common';
import { APP_GUARD, NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { SkipThrottle, Throttle, ThrottlerGuard, ThrottlerModule } from '@nestjs/throttler';
import { MemoryStorage, toThrottlerStorage } from '../../lib/index.js';
import { ManualClock } from '../../lib/testing/index.js';

const SECOND = 1000;
const clock = new ManualClock();

@Controller()
class LimitedController {
  @Get()
  find() {
    return '';
  }

  @Get('strict')
  @Throttle({ default: { limit: 1, ttl: 10 * SECOND, blockDuration: 30 * SECOND } })
  strict() {
    return '';
  }

  @Get('open')
  @SkipThrottle()
  open() {
    return '';
  }

  @Post('clock/:ms')
  @SkipThrottle()
  advance(@Param('ms') ms: string) {
    clock.advance(Number(ms));
  }
}

@Module({
  imports: [
    ThrottlerModule.forRoot({
      throttlers: [{ limit: 2, ttl: 10 * SECOND }],
      storage: toThrottlerStorage(new MemoryStorage({ clock })),
    }),
  ],
  controllers: [LimitedController],
  providers: [{ provide: APP_GUARD, useClass: ThrottlerGuard }],
})
class AppModule {}

const adapter = process.argv[2] === 'fastify' ? new FastifyAdapter() : new ExpressAdapter();
const app = await NestFactory.create(AppModule, adapter, { logger: false });
await app.listen(0, '127.0.0.1');
console.log(await app.getUrl());
