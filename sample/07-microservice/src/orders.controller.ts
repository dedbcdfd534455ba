import { Controller, type ExecutionContext } from '@nestjs/common';
import { MessagePattern, Payload } from '@nestjs/microservices';
import { RateLimit, RateLimitInfo, type Decision } from 'nestjs-limits';

interface Order {
  customer: string;
}

/** All messages come from the API, so the customer is in the message. */
const customerOf = (context: ExecutionContext): string => context.switchToRpc().getData<Order>().customer;

/** The microservice. */
@Controller()
export class OrdersController {
  @MessagePattern('orders.create')
  @RateLimit('3/minute', { key: customerOf })
  create(@Payload() { customer }: Order, @RateLimitInfo() decision?: Decision) {
    return { customer, remaining: decision?.remaining };
  }
}
