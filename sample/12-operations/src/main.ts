import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { AppModule } from './app.module.js';
import { generateTraffic } from './traffic.js';

const app = await NestFactory.create(AppModule, { logger: ['error', 'warn'] });
app.enableShutdownHooks();
await app.listen(process.env['PORT'] ?? 3000, '127.0.0.1');

const url = await app.getUrl();
generateTraffic(url);

console.log(`
A shop with its own traffic: a customer who searches too often, a limit in shadow mode, and a client that guesses a password.
Its console shows it. Open it in a browser, or try:

  curl -N ${url}/rate-limits/events
  curl -i -X POST ${url}/login -H 'content-type: application/json' -d '{"name":"admin"}'

`);
