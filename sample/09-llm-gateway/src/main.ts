import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { AppModule } from './app.module.js';

const app = await NestFactory.create(AppModule, { logger: ['error', 'warn'] });
app.enableShutdownHooks();
await app.listen(process.env['PORT'] ?? 3000);

const url = (await app.getUrl()).replace('[::1]', 'localhost');
console.log(`
Organisations have budgets of requests, input and output tokens per minute, and of tokens per month, and a number of
streams that may run at the same time. PACE_MS=200 makes the model slow. Try:

  curl -iN ${url}/v1/completions -H 'x-api-key: acme-key' -H 'content-type: application/json' \\
    -d '{ "prompt": "what is a token bucket", "max_tokens": 500 }'                  free: it ends after 200 tokens
  curl ${url}/v1/usage -H 'x-api-key: acme-key'                                     what acme has used, and has left
  curl -iN ${url}/v1/completions -H 'x-api-key: umbrella-key' -H 'content-type: application/json' \\
    -d '{ "prompt": "what is a token bucket", "max_tokens": 500 }'                  pro: all of them; hang up, and you pay what you got
  for i in 1 2 3 4; do curl -iN ${url}/v1/completions -H 'x-api-key: acme-key' -H 'content-type: application/json' \\
    -d '{ "prompt": "one two three", "max_tokens": 40 }' & done; wait               a minute later: three streams, the fourth is refused
`);
