import {
  MessageBody,
  SubscribeMessage,
  WebSocketGateway,
  type OnGatewayConnection,
} from '@nestjs/websockets';
import { RateLimit, RateLimitInfo, type Decision } from 'nestjs-limits';

@WebSocketGateway()
export class ChatGateway implements OnGatewayConnection {
  /** Not called for a connection above the limit, which is closed. */
  @RateLimit('10/minute')
  handleConnection() {
    return undefined;
  }

  /** Limited per connection, and per address over all its connections. */
  @SubscribeMessage('say')
  @RateLimit('3/minute', { name: 'connection', key: 'socket' })
  @RateLimit('5/minute', { name: 'address' })
  say(@MessageBody() text: string, @RateLimitInfo() decision?: Decision) {
    return { event: 'said', data: { text, remaining: decision?.remaining } };
  }
}
