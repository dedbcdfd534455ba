import { Controller, Module } from '@nestjs/common';
import { GrpcMethod, GrpcStreamCall } from '@nestjs/microservices';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { RateLimit, RateLimitModule } from 'nestjs-limits';

export interface Text {
  text: string;
}

@Controller()
class EchoController {
  @GrpcMethod('Echo', 'Say')
  @RateLimit('2/minute')
  say({ text }: Text): Text {
    return { text };
  }

  @GrpcStreamCall('Echo', 'Chat')
  @RateLimit('2/minute')
  chat(call: ServerDuplexStream<Text, Text>): void {
    call.on('data', (text: Text) => call.write(text));
    call.on('end', () => call.end());
  }
}

@Module({ imports: [RateLimitModule.forRoot()], controllers: [EchoController] })
export class EchoModule {}
