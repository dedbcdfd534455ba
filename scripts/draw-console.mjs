/**
 * Draws the pictures of docs/console.md: runs an application of the built package through ten minutes of traffic, and takes
 * pictures of its console in Chromium (Debian's, or the program CHROMIUM_BIN).
 *
 * `node scripts/draw-console.mjs [folder]`; the folder is docs/images unless another is named.
 */
import 'reflect-metadata';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Controller, Get, Module, Post } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { RateLimit, RateLimiterService, RateLimitModule } from 'nestjs-limits';
import { RateLimitConsoleModule } from 'nestjs-limits/console';
import { chromium } from 'playwright-core';
import { ConsoleRecorder } from '../dist/esm/nest/console/console-recorder.js';

const folder = process.argv[2] ?? fileURLToPath(new URL('../docs/images', import.meta.url));
const SECONDS = 600;

/** Declares a route without the syntax of decorators. */
function declareRoute(type, name, ...decorators) {
  const descriptor = Object.getOwnPropertyDescriptor(type.prototype, name);
  for (const decorate of decorators) decorate(type.prototype, name, descriptor);
}

class LoginController {
  login() {}
}
declareRoute(
  LoginController,
  'login',
  Post('login'),
  RateLimit('5/minute; 20/hour', { name: 'login', block: ['15 minutes', '1 hour'] }),
);
Controller()(LoginController);

class SearchController {
  search() {}
  suggest() {}
}
declareRoute(
  SearchController,
  'search',
  Get('search'),
  RateLimit('40/minute', { name: 'search', key: 'user' }),
);
declareRoute(
  SearchController,
  'suggest',
  Get('suggest'),
  RateLimit('120/minute', { name: 'suggest', mode: 'shadow' }),
);
Controller()(SearchController);

class AppModule {}
Module({
  imports: [
    RateLimitModule.forRoot({
      limits: [{ name: 'all', limits: '1000/hour' }],
      strategy: 'sliding-window-counter',
      rules: [
        { id: 'api', path: '/api/**', plans: { free: '60/minute', pro: '600/minute' }, key: 'api-key' },
        { id: 'exports', path: '/exports', limits: '5 concurrent', key: 'user' },
      ],
    }),
    RateLimitConsoleModule.forRoot({ open: true }),
  ],
  controllers: [LoginController, SearchController],
})(AppModule);

const app = await NestFactory.create(AppModule, { logger: ['error', 'warn'] });
await app.listen(0, '127.0.0.1');
try {
  simulate(app.get(RateLimiterService), app.get(ConsoleRecorder, { strict: false }));
  await takePictures(`http://localhost:${app.getHttpServer().address().port}/rate-limits`);
} finally {
  await app.close();
}

/** Hits the policies as ten minutes of requests would: an evening's wave, and an attack on the login. Continues in real time. */
function simulate(limiter, recorder) {
  const random = createRandom(7);
  const now = recorder.second;
  for (let second = 1; second <= SECONDS; second++) {
    hitFor(second, limiter, random);
    recorder.sample(now - SECONDS + second);
  }
  let second = SECONDS;
  const hitMore = () => hitFor(++second, limiter, random);
  while (recorder.second < Math.floor(Date.now() / 1000)) {
    hitMore();
    recorder.sample(recorder.second + 1);
  }
  hitMore();
  setInterval(hitMore, 1000).unref();
}

function hitFor(second, limiter, random) {
  const hit = (policy, identity, reference) => limiter.consume({ policy, ...reference }, identity);
  const wave = 24 + 10 * Math.sin(second / 70) + 6 * random();
  for (let request = 0; request < wave; request++) {
    const user = Math.floor(400 * random() ** 3);
    hit('all', `203.0.113.${user % 250}`, { route: 'GET /search' });
    if (request % 3 === 0) hit('search', String(user));
    if (request % 4 === 0) hit('suggest', `198.51.100.${user % 120}`);
    if (request % 2 === 0) hit('api', `key-${user % 40}`, { plan: user % 40 < 6 ? 'pro' : 'free' });
  }
  const isAttacked = second > 240 && second < 430;
  const attempts = isAttacked ? 9 + 5 * random() : random() * 1.2;
  for (let attempt = 0; attempt < attempts; attempt++)
    hit(
      'login',
      isAttacked ? `192.0.2.${Math.floor(18 * random() ** 2)}` : `203.0.113.${Math.floor(250 * random())}`,
    );
}

/** The same numbers for the same seed (mulberry32). */
function createRandom(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let value = Math.imul(state ^ (state >>> 15), state | 1);
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  };
}

async function takePictures(url) {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM_BIN ?? '/usr/bin/chromium',
    args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
  });
  try {
    await mkdir(folder, { recursive: true });
    for (const colorScheme of ['light', 'dark']) {
      const page = await browser.newPage({
        colorScheme,
        viewport: { width: 1280, height: 860 },
        deviceScaleFactor: 1.5,
      });
      await page.goto(url);
      await page.getByRole('button', { name: 'login' }).waitFor();
      if (colorScheme === 'dark') {
        await page.getByRole('button', { name: 'login', exact: true }).click();
        await page
          .getByRole('button', { name: /^ip:192/ })
          .first()
          .click();
        await page.locator('#state').waitFor();
        await page.locator('#policy').evaluate((section) => section.scrollIntoView());
      }
      await page.waitForTimeout(500);
      await writePicture(page, `console-${colorScheme}.webp`);
      await page.close();
    }
  } finally {
    await browser.close();
  }
}

/** Playwright itself takes no WebP. */
async function writePicture(page, name) {
  const session = await page.context().newCDPSession(page);
  const { data } = await session.send('Page.captureScreenshot', { format: 'webp', quality: 82 });
  await writeFile(join(folder, name), Buffer.from(data, 'base64'));
}
