/**
 * An application of test/fixtures/migrate/apps, or what the codemod made of it: `compared-app.ts <file>`. Prints its URL. Its clock
 * stands still, and a message moves it by a number of ms. Runs in a separate process, since Jest cannot load a CommonJS package that
 * requires NestJS 12.
 */
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import type { Type } from '@nestjs/common';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

let now = 1_700_000_000_000;
Date.now = () => now;
process.on('message', (ms: number) => {
  now += ms;
  process.send?.('moved');
});

const { AppModule } = (await import(pathToFileURL(resolve(process.argv[2] ?? '')).href)) as {
  AppModule: Type;
};
const app = await NestFactory.create<NestExpressApplication>(AppModule, { logger: ['error'] });
app.set('trust proxy', 1);
await app.listen(0, '127.0.0.1');
console.log(await app.getUrl());
