/** A process with one Nest application that uses much of the library at once, over the storage that it is told. */
import 'reflect-metadata';
import { Controller, Get, Inject, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { RateLimit, RateLimiterService, RateLimitModule } from 'nestjs-limits';
import { answerQuestions } from '../support/child.mjs';
import { collectGarbage, heapBytes } from '../support/heap.mjs';

const STRATEGIES = [
  'fixed-window',
  'fixed-window-elastic-expiry',
  'moving-window',
  'sliding-window-counter',
  'token-bucket',
];

const [uri] = process.argv.slice(2);

class SoakController {
  constructor(limiter) {
    this.limiter = limiter;
  }

  /** All strategies at once, some of which refuse. */
  all() {
    return 'counted by all';
  }

  /** Half of the requests fail, and only those count; too many of them block. */
  async login() {
    if (Math.random() < 0.5) throw new Error('wrong password');
    return 'welcome';
  }

  /** By hand, and given back. */
  async mail() {
    const decision = await this.limiter.consume(
      '20/second; 100 per 10 seconds',
      'mails',
      String(Math.random() * 500),
    );
    if (Math.random() < 0.5) await this.limiter.refund(decision);
    return { left: decision.remaining };
  }
}
Inject(RateLimiterService)(SoakController, undefined, 0);
Controller()(SoakController);
route(
  'all',
  ...STRATEGIES.map((strategy, index) =>
    RateLimit(`${2 + index} per 5 seconds`, { name: strategy, strategy }),
  ),
);
route('login', RateLimit('5 per 5 seconds', { name: 'login', count: 'failure', block: '3 seconds' }));
route('mail', RateLimit('1000/second', { name: 'mail' }));

class SoakModule {}
Module({
  imports: [RateLimitModule.forRoot({ storage: uri, key: 'api-key', resilience: { lease: {} } })],
  controllers: [SoakController],
})(SoakModule);

const app = await NestFactory.create(SoakModule, new FastifyAdapter(), { logger: false });
await app.listen(0, '127.0.0.1');
app.get(RateLimiterService).events$.subscribe(() => undefined);

answerQuestions({
  url: () => app.getUrl(),
  async weigh() {
    await collectGarbage();
    const bytes = await heapBytes();
    return { bytes, rss: process.memoryUsage().rss, handles: process.getActiveResourcesInfo().length };
  },
});

function route(name, ...decorators) {
  const { prototype } = SoakController;
  const descriptor = Object.getOwnPropertyDescriptor(prototype, name);
  for (const decorate of [Get(name), ...decorators]) decorate(prototype, name, descriptor);
}
