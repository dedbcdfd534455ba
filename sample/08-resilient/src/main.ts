import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { AppModule, redisUrl } from './app.module.js';

const app = await NestFactory.create(AppModule, { logger: ['error', 'warn'] });
app.enableShutdownHooks();
await app.listen(process.env['PORT'] ?? 3000);

const url = (await app.getUrl()).replace('[::1]', 'localhost');
const { hostname, port } = new URL(redisUrl);
const redisServer = `redis-server --port ${port} --save '' --daemonize yes`;
const steps: [command: string, what: string][] = [
  [redisServer, 'a Redis to play with, unless it runs already'],
  [`curl ${url}/health`, 'ok'],
  [`for i in 1 2 3; do curl -i ${url}/; done`, 'counted in Redis'],
  [`redis-cli -h ${hostname} -p ${port} shutdown`, 'Redis is gone:'],
  [`for i in 1 2 3 4 5 6; do curl -i ${url}/; done`, 'counted here, still 5 per minute'],
  [`curl -i ${url}/health`, 'degraded, but 200'],
  [redisServer, 'back: counted in Redis again'],
];
console.log(`
Five requests per minute are counted in Redis, or by this process alone while Redis is gone. In another terminal, try:

${steps.map(([command, what]) => `  ${command.padEnd(66)}${what}`).join('\n')}

What happens to limits and to their store:
`);
