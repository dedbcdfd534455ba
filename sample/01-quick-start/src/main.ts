import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { AppModule } from './app.module.js';

const app = await NestFactory.create(AppModule, { logger: ['error', 'warn'] });
app.enableShutdownHooks();
await app.listen(process.env['PORT'] ?? 3000);

const url = (await app.getUrl()).replace('[::1]', 'localhost');
console.log(`
The quick start listens on ${url}. Try:

  for i in 1 2 3 4 5 6; do curl -i ${url}/; done                5 per minute
  for i in 1 2 3 4; do curl -i -X POST ${url}/login; done       3 per minute and 20 per hour
  curl -i ${url}/free                                           not limited
  for i in $(seq 12); do curl -i ${url}/report; done            token bucket: 60 per minute, bursts of 10
`);
