import { Module } from '@nestjs/common';
import { ClientsModule, Transport } from '@nestjs/microservices';
import { RateLimitModule } from 'nestjs-limits';
import { ApiController } from './api.controller.js';
import { OrdersController } from './orders.controller.js';

/** Where the microservice listens. */
export const servicePort = Number(process.env['PORT'] ?? 3000) + 1;

@Module({
  imports: [
    RateLimitModule.forRoot(),
    ClientsModule.register([{ name: 'ORDERS', transport: Transport.TCP, options: { port: servicePort } }]),
  ],
  controllers: [ApiController, OrdersController],
})
export class AppModule {}
