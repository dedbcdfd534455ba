import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { Transport, type MicroserviceOptions } from '@nestjs/microservices';
import { AppModule, servicePort } from './app.module.js';

const app = await NestFactory.create(AppModule, { logger: ['error', 'warn'] });
app.enableShutdownHooks();
app.connectMicroservice<MicroserviceOptions>(
  { transport: Transport.TCP, options: { port: servicePort } },
  { inheritAppConfig: true }, // without it, the guard of the module does not run for messages
);
await app.startAllMicroservices();
await app.listen(process.env['PORT'] ?? 3000);

const url = (await app.getUrl()).replace('[::1]', 'localhost');
console.log(`
The API listens on ${url}, the microservice behind it on port ${servicePort}. Try:

  for i in 1 2 3 4; do curl -i -X POST ${url}/orders/alice; done       3 per minute and customer
  curl -i -X POST ${url}/orders/bob
`);
