import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { AppModule } from './app.module.js';

const app = await NestFactory.create(AppModule, { logger: ['error', 'warn'] });
app.enableShutdownHooks();
await app.listen(process.env['PORT'] ?? 3000);
console.log(`
Ten per minute, counted in a storage of our own. Try:

  for i in $(seq 12); do curl -i ${(await app.getUrl()).replace('[::1]', 'localhost')}/; done
`);
