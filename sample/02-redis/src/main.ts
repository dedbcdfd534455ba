import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { AppModule } from './app.module.js';

/** Two instances of one application: in production, two processes on two machines. */
async function startInstance(port: number): Promise<string> {
  const app = await NestFactory.create(AppModule, { logger: ['error', 'warn'] });
  app.enableShutdownHooks();
  await app.listen(port);
  return (await app.getUrl()).replace('[::1]', 'localhost');
}

const port = Number(process.env['PORT'] ?? 3000);
const [one, other] = [await startInstance(port), await startInstance(port + 1)];
console.log(`
Two instances share five requests per minute in the Redis at localhost:6379, or at REDIS_URL. It has to run, or each counts alone:

  redis-server --port 6379 --save '' --daemonize yes

Try:

  for i in 1 2 3; do curl -i ${one}/; curl -i ${other}/; done
`);
