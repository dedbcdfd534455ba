import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { AppModule } from './app.module.js';

const app = await NestFactory.create(AppModule, { logger: ['error', 'warn'] });
app.enableShutdownHooks();
await app.listen(process.env['PORT'] ?? 3000);

const url = (await app.getUrl()).replace('[::1]', 'localhost');
console.log(`
Customers have keys, and plans with limits of their own. Try:

  for i in 1 2 3 4 5 6; do curl -i ${url}/api/reports -H 'x-api-key: ann-key'; done         free: 5 per minute
  curl -i -X PUT ${url}/admin/customers/ann/plan/pro -H 'x-admin-key: admin-key'            now Ann pays:
  curl -i ${url}/api/reports -H 'x-api-key: ann-key'                                        50 per minute, 5 of them consumed
  curl -i ${url}/api/reports -H 'x-api-key: cron-key'                                       internal: not limited but by address
  for i in 1 2 3 4; do curl -i -X PUT ${url}/admin/customers/ann/plan/pro; done             3 guesses per minute, then a block
`);
