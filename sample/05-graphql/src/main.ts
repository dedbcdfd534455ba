import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { AppModule } from './app.module.js';

const app = await NestFactory.create(AppModule, { logger: ['error', 'warn'] });
app.enableShutdownHooks();
await app.listen(process.env['PORT'] ?? 3000);

const url = `${(await app.getUrl()).replace('[::1]', 'localhost')}/graphql`;
const ask = (query: string): string =>
  `curl ${url} -H 'content-type: application/json' -d '{"query":"${query}"}'`;
console.log(`
The library answers GraphQL on ${url}. Try:

  ${ask('{ a: book b: book c: book d: book e: book f: book }')}
  ${ask('{ remaining }')}
`);
