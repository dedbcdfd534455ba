import { Module, UseGuards } from '@nestjs/common';
import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { RateLimit, RateLimitGuard, RateLimitInfo, RateLimitModule, type Decision } from 'nestjs-limits';

/** NestJS 10 runs no global guards for gateways. */
@WebSocketGateway()
@UseGuards(RateLimitGuard)
export class ChatGateway {
  @RateLimit('2/minute', { name: 'connections' })
  handleConnection(): void {
    return undefined;
  }

  @SubscribeMessage('say')
  @RateLimit('3/minute')
  say(@RateLimitInfo() decision?: Decision): { event: string; data: unknown } {
    return { event: 'said', data: decision?.remaining };
  }
}

@Module({ imports: [RateLimitModule.forRoot()], providers: [ChatGateway] })
export class ChatModule {}
