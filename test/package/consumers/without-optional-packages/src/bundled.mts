import 'reflect-metadata';
import assert from 'node:assert/strict';
import { Controller, Get, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ConfigurationError, RateLimit, RateLimitModule, storageFromString } from 'nestjs-limits';

@Controller()
class AppController {
  @Get()
  @RateLimit('2/minute')
  hello() {
    return { message: 'Hello!' };
  }
}

@Module({ imports: [RateLimitModule.forRoot()], controllers: [AppController] })
class AppModule {}

async function main(): Promise<void> {
  const app = await NestFactory.create(AppModule, { logger: false });
  await app.listen(0, '127.0.0.1');
  const url = await app.getUrl();
  const statuses: number[] = [];
  for (let request = 0; request < 3; request++) statuses.push((await fetch(url)).status);
  assert.deepEqual(statuses, [200, 200, 429]);
  await app.close();

  await assert.rejects(storageFromString('redis://127.0.0.1'), (error: unknown) => {
    assert.ok(error instanceof ConfigurationError);
    assert.equal(
      error.message,
      'A bundle of the application has no storage for "redis://". ' +
        'Give the storage itself: new RedisStorage(uri), of "nestjs-limits/redis".',
    );
    return true;
  });
  await (await storageFromString('memcached://127.0.0.1:1')).close();
  console.log('200 200 429');
}

void main();
