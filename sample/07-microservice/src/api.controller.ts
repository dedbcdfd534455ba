import { Controller, HttpException, Inject, Param, Post } from '@nestjs/common';
import { ClientProxy } from '@nestjs/microservices';
import type { RefusalBody } from 'nestjs-limits';
import { catchError, type Observable } from 'rxjs';

/** What clients see of the microservice. */
@Controller('orders')
export class ApiController {
  constructor(@Inject('ORDERS') private readonly orders: ClientProxy) {}

  @Post(':customer')
  create(@Param('customer') customer: string): Observable<unknown> {
    return this.orders.send<unknown>('orders.create', { customer }).pipe(
      catchError((error: Partial<RefusalBody>) => {
        // The error of a refusal says what an HTTP response would.
        throw new HttpException(error, error.statusCode ?? 500);
      }),
    );
  }
}
