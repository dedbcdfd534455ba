import assert from 'node:assert/strict';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { RateLimiterService, RateLimitModule } from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';

@Module({ imports: [RateLimitModule.forRoot({ limits: '10/minute' })] })
class AppModule {}

async function main(): Promise<void> {
  const app = await NestFactory.createApplicationContext(AppModule, { logger: false });
  const limiter = app.get(RateLimiterService);
  assert.equal(await limiter.hit('1/minute', 'mails', '42'), true);
  assert.equal(await limiter.hit('1/minute', 'mails', '42'), false);
  await app.close();
  assert.equal(new ManualClock(5).now(), 5);
}

void main();
