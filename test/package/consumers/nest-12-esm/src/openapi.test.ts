import assert from 'node:assert/strict';
import { it } from 'node:test';
import { NestFactory } from '@nestjs/core';
import { DocumentBuilder, SwaggerModule } from '@nestjs/swagger';
import { documentRateLimits } from 'nestjs-limits/swagger';
import { AppModule } from './app.module.js';

it('documentRateLimits describes the limits of an operation, before the application starts', async () => {
  const app = await NestFactory.create(AppModule, { logger: false });
  const document = SwaggerModule.createDocument(app, new DocumentBuilder().build());
  const operation = (await documentRateLimits(app, document)).paths['/greeting']?.get;
  assert.ok(operation?.responses['429']);
  const limits = (operation as { 'x-rate-limit'?: unknown })['x-rate-limit'];
  const strategy = 'fixed-window';
  assert.deepEqual(limits, [
    {
      policy: 'default',
      limits: [{ name: 'default', amount: 3, period: 60, description: '3 per minute', strategy }],
    },
  ]);
  await app.close();
});
