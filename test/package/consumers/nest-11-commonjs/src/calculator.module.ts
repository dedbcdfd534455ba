import { Controller, Module } from '@nestjs/common';
import { MessagePattern, Payload } from '@nestjs/microservices';
import { RateLimit, RateLimitModule } from 'nestjs-limits';

@Controller()
class CalculatorController {
  @MessagePattern('sum')
  @RateLimit('3/minute')
  sum(@Payload() numbers: number[]): number {
    return numbers.reduce((sum, number) => sum + number, 0);
  }
}

@Module({ imports: [RateLimitModule.forRoot()], controllers: [CalculatorController] })
export class CalculatorModule {}
