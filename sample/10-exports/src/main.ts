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
  [`curl ${url}/exports/ann -d rows=600`, 'an export of a minute; start three of them'],
  [`curl ${url}/exports/ann`, 'two run, one waits'],
  [`curl -N ${url}/exports/ann/1`, 'the progress of one, as events'],
  [`redis-cli -h ${hostname} -p ${port} shutdown`, 'Redis is gone; the exports go on'],
  [redisServer, 'back, and empty: both slots are taken again'],
  [`curl ${url}/exports/ann`, 'still two run, and one waits'],
  [`curl -X DELETE ${url}/exports/ann/1`, 'cancelled: the third one runs'],
];
console.log(`
Exports run in the background, two of each user at a time, in all processes together. In another terminal, try:

${steps.map(([command, what]) => `  ${command.padEnd(66)}${what}`).join('\n')}

What happens to the store:
`);
