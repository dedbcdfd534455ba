import { Injectable, type OnModuleInit } from '@nestjs/common';
import { RateLimiterService } from 'nestjs-limits';

/** Prints what happens to limits and to their store; in production, count it. */
@Injectable()
export class EventLog implements OnModuleInit {
  constructor(private readonly limiter: RateLimiterService) {}

  onModuleInit(): void {
    this.limiter.events$.subscribe((event) => {
      if ('error' in event) console.log(`event ${event.type}: ${event.error.message}`);
      else if ('decision' in event) console.log(`event ${event.type}: ${event.decision.remaining} remaining`);
      else console.log(`event ${event.type}`);
    });
  }
}
