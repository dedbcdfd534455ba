import {
  MessageBody,
  SubscribeMessage,
  WebSocketGateway,
  type OnGatewayConnection,
} from '@nestjs/websockets';
import { RateLimit, RateLimitInfo, type Decision } from 'nestjs-limits';

@WebSocketGateway()
export class ChatGateway implements OnGatewayConnection {
  /** A connection that is too many is ended before it gets here. */
  @RateLimit('10/minute')
  handleConnection() {
    return undefined;
  }

  /** Each connection may say so much, and all connections of one address together. */
  @SubscribeMessage('say')
  @RateLimit('3/minute', { name: 'connection', key: 'socket' })
  @RateLimit('5/minute', { name: 'address' })
  say(@MessageBody() text: string, @RateLimitInfo() decision?: Decision) {
    return { event: 'said', data: { text, remaining: decision?.remaining } };
  }
}
