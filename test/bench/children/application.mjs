/**
 * A process with one Nest application in it: the same route, guarded by one of several or by none. Counts for one hour under
 * limits that no run reaches.
 */
import 'reflect-metadata';
import { Controller, Get, Module } from '@nestjs/common';
import { APP_GUARD, NestFactory } from '@nestjs/core';
import { answerQuestions } from '../support/child.mjs';
import { processorTime } from '../support/processor-time.mjs';

/** The loopback as a server sees it that listens on both protocols, as Nest's do unless told otherwise. */
const ADDRESS = '::ffff:127.0.0.1';
const AMOUNT = 1_000_000_000;
const HOUR = 3_600_000;

const [platform, guard] = process.argv.slice(2);

class AppController {
  hello() {
    return { message: 'Hello!' };
  }
}
Get()(AppController.prototype, 'hello', Object.getOwnPropertyDescriptor(AppController.prototype, 'hello'));
Controller()(AppController);

/** What is guarded how: the module's imports and providers, and what has to be done to the application. */
const guards = {
  none: async () => ({}),
  idle: async () => guarded({ canActivate: () => true }),
  'fields by hand': async () => guarded(fieldsByHand()),

  'nestjs-limits': async () => limits(`${AMOUNT}/hour`),
  'nestjs-limits, 3 limits': async () => limits(`${AMOUNT}/minute; ${AMOUNT}/hour; ${AMOUNT}/day`),
  'nestjs-limits, without header fields': async () => limits(`${AMOUNT}/hour`, { headers: false }),

  '@nestjs/throttler': async () => throttlers([{ ttl: HOUR, limit: AMOUNT }]),
  '@nestjs/throttler, 3 limits': async () =>
    throttlers(['short', 'medium', 'long'].map((name) => ({ name, ttl: HOUR, limit: AMOUNT }))),

  hitlimit: async () => {
    const { HitLimitGuard, HitLimitModule } = await import('@joint-ops/hitlimit/nest');
    return {
      imports: [HitLimitModule.register({ limit: AMOUNT, window: HOUR })],
      providers: [{ provide: APP_GUARD, useExisting: HitLimitGuard }],
    };
  },

  'express-rate-limit': async () => {
    const { rateLimit } = await import('express-rate-limit');
    const options = { limit: AMOUNT, windowMs: HOUR, standardHeaders: 'draft-8', legacyHeaders: false };
    return { prepare: (app) => app.use(rateLimit(options)) };
  },
};

const { imports = [], providers = [], prepare, forget, warm } = await guards[guard]();
class AppModule {}
Module({ imports, providers, controllers: [AppController] })(AppModule);

const app = await createApplication();
prepare?.(app);
await app.listen(0, ADDRESS);
let usage = process.cpuUsage();

answerQuestions({
  url: () => `http://127.0.0.1:${app.getHttpServer().address().port}/`,
  /** Forgets the hits made to warm up, where they cost. */
  forget: () => forget?.(app),
  /** Makes hits on the client's key, past HTTP: so many, or as many as fit into the time. Answers how many. */
  warm: (hits, milliseconds) => warm(app, hits, performance.now() + milliseconds),
  startWatch() {
    usage = process.cpuUsage();
  },
  /** Microseconds of processor time since the watch was started. */
  readWatch: () => processorTime(usage),
});

async function createApplication() {
  const options = { logger: ['error', 'warn'] };
  if (platform === 'express') return NestFactory.create(AppModule, options);
  const { FastifyAdapter } = await import('@nestjs/platform-fastify');
  return NestFactory.create(AppModule, new FastifyAdapter(), options);
}

function guarded(guard) {
  return { providers: [{ provide: APP_GUARD, useValue: guard }] };
}

/** The least work for the two standard fields: counts in one variable, and writes what has to be written. */
function fieldsByHand() {
  const policy = `"default";q=${AMOUNT};w=${HOUR / 1000}`;
  const end = Date.now() + HOUR;
  let remaining = AMOUNT;
  return {
    canActivate(context) {
      const response = context.getArgByIndex(1);
      const seconds = Math.ceil((end - Date.now()) / 1000);
      response.header('RateLimit-Policy', policy);
      response.header('RateLimit', `"default";r=${--remaining};t=${seconds}`);
      return true;
    },
  };
}

async function limits(limits, options = {}) {
  const { RateLimiterService, RateLimitModule } = await import('nestjs-limits');
  return {
    imports: [RateLimitModule.forRoot({ limits, ...options })],
    async warm(app, hits, end) {
      const limiter = app.get(RateLimiterService);
      return repeat(hits, end, () => limiter.hit({ policy: 'default' }, ADDRESS));
    },
  };
}

async function throttlers(throttlers) {
  const { ThrottlerGuard, ThrottlerModule, ThrottlerStorage } = await import('@nestjs/throttler');
  return {
    imports: [ThrottlerModule.forRoot({ throttlers })],
    providers: [{ provide: APP_GUARD, useClass: ThrottlerGuard }],
    forget(app) {
      const storage = app.get(ThrottlerStorage);
      for (const record of storage.storage.values()) record.totalHits.clear();
      for (const expirations of storage.hitExpirations.values()) expirations.clear();
    },
    async warm(app, hits, end) {
      const storage = app.get(ThrottlerStorage);
      const [key] = storage.storage.keys(); // the client's, since it has made a request
      return repeat(hits, end, () => storage.increment(key, HOUR, AMOUNT, HOUR, 'default'));
    },
  };
}

async function repeat(times, end, step) {
  for (let count = 0; count < times; count++) {
    if (performance.now() > end) return count;
    await step();
  }
  return times;
}
