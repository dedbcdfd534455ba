import { Injectable, type OnModuleInit } from '@nestjs/common';
import { RateLimiterService } from 'nestjs-limits';

/** Prints when Redis is lost, and when it is back. */
@Injectable()
export class StoreLog implements OnModuleInit {
  constructor(private readonly limiter: RateLimiterService) {}

  onModuleInit(): void {
    this.limiter.events$.subscribe(({ type }) => {
      if (type === 'degraded' || type === 'recovered') console.log(`event ${type}`);
    });
  }
}
