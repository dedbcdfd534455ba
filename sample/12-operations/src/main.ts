import 'reflect-metadata';
import type { INestApplication } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { AppModule } from './app.module.js';
import { startRedis } from './local-redis.js';
import { generateTraffic } from './traffic.js';

/** An instance of the application: in production, each is a process. */
async function startInstance(redis: string | undefined, port: number): Promise<INestApplication> {
  const app = await NestFactory.create(AppModule.on(redis), {
    logger: ['error', 'warn'],
    forceCloseConnections: true, // the traffic never pauses, so the server would wait for its connections
  });
  await app.listen(port, '127.0.0.1');
  return app;
}

const given = process.env['REDIS_URL'];
const server = given === undefined ? await startRedis() : undefined;
const redis = given ?? server?.uri;
const port = Number(process.env['PORT'] ?? 3000);
const apps = [await startInstance(redis, port)];
// Without a store, each instance would count alone.
if (redis !== undefined) apps.push(await startInstance(redis, port + 1));

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

const urls = await Promise.all(apps.map((app) => app.getUrl()));
generateTraffic(urls);

const [one = '', other = one] = urls;
const login = `curl -i -X POST ${one}/login -H 'content-type: application/json' -d '{"name":"admin"}'`;
const intro = `A shop with its own traffic: a customer who searches too often, a limit in shadow mode, and a client that guesses a password.`;
console.log(
  redis === undefined
    ? `
${intro}
Its console shows it. Redis is not installed, so there is one instance, which counts in memory. To see two instances whose rules
change together, install Redis, for example by "apt-get install redis-server", or set REDIS_URL to the URI of a server that is
running.

Open the console in a browser, or try:

  curl -N ${one}/rate-limits/events
  ${login}

`
    : `
${intro}
Two instances share the Redis at ${redis.replace(/:[^:@/]*@/, ':***@')}${server === undefined ? '' : ', which stops with this sample'}.
The console of each shows its traffic; a rule that is changed on one holds on both within three seconds.

Open both consoles in a browser, or try:

  curl -N ${one}/rate-limits/events
  curl -N ${other}/rate-limits/events
  curl -i -X PUT ${one}/rules/search -H 'content-type: application/json' -d '{"limits":"600/minute"}'
  curl -i ${other}/search -H 'x-customer: busy'
  curl ${other}/rules
  ${login}

`,
);
