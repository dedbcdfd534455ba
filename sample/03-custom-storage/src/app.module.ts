import { Controller, Get, Module } from '@nestjs/common';
import { RateLimit, RateLimitModule } from 'nestjs-limits';
import { VersionedMapStorage } from './versioned-map.storage.js';

@Controller()
export class AppController {
  @Get()
  @RateLimit('10/minute', { strategy: 'moving-window' })
  hello() {
    return { message: 'Counted in a storage of our own.' };
  }
}

@Module({
  imports: [RateLimitModule.forRoot({ storage: new VersionedMapStorage() })],
  controllers: [AppController],
})
export class AppModule {}
