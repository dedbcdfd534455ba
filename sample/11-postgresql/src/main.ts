import 'reflect-metadata';
import type { INestApplication } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { AppModule } from './app.module.js';
import { startPostgreSQL } from './local-postgresql.js';

/** Two instances of one application: in production, two processes on two machines. */
async function startInstance(uri: string, port: number): Promise<INestApplication> {
  const app = await NestFactory.create(AppModule.on(uri), { logger: ['error', 'warn'] });
  await app.listen(port);
  return app;
}

async function addressOf(app: INestApplication): Promise<string> {
  return (await app.getUrl()).replace('[::1]', 'localhost');
}

const given = process.env['POSTGRES_URL'];
const server = given === undefined ? await startPostgreSQL() : undefined;
const uri = given ?? server?.uri;
if (uri === undefined) {
  console.error(`
PostgreSQL is not installed. Install it, for example by "apt-get install postgresql", or set one of:

  POSTGRESQL_BIN  the folder of its programs, if it is not in /usr/lib/postgresql/*/bin
  POSTGRES_URL    the URI of a server that is running
`);
  process.exit(1);
}

const port = Number(process.env['PORT'] ?? 3000);
const apps = [await startInstance(uri, port), await startInstance(uri, port + 1)];
// A terminal and npm may both send the signal, so a second one is ignored.
let stopping: Promise<void> | undefined;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => void (stopping ??= stop(signal)));
}

async function stop(signal: NodeJS.Signals): Promise<void> {
  await Promise.all(apps.map((app) => app.close()));
  await server?.stop();
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
}

const [one, other] = await Promise.all(apps.map(addressOf));
console.log(`
Two instances share five requests per minute in the PostgreSQL at ${uri.replace(/:[^:@/]*@/, ':***@')}${given === undefined ? ', which stops with this sample' : ''}.

Try:

  for i in 1 2 3; do curl -i ${one}/; curl -i ${other}/; done
`);
