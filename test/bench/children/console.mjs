/** A process with one application in it, with a console or without. Calls the guard itself, past HTTP. */
import 'reflect-metadata';
import { Controller, Get, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { RateLimit, RateLimitGuard, RateLimiterService, RateLimitModule } from 'nestjs-limits';
import { RateLimitConsoleModule } from 'nestjs-limits/console';
import { answerQuestions } from '../support/child.mjs';
import { heapBytes } from '../support/heap.mjs';
import { processorTime } from '../support/processor-time.mjs';

/** As many clients as fit into the caches of a processor, or they would be what is measured. */
const CLIENTS = 100;
const POLICIES = 20;

const hasConsole = process.argv[2] === 'console';

class ReportsController {
  find() {}
}
const { prototype } = ReportsController;
const descriptor = Object.getOwnPropertyDescriptor(prototype, 'find');
RateLimit('1000000000/hour')(prototype, 'find', descriptor);
Get('reports')(prototype, 'find', descriptor);
Controller()(ReportsController);

const rules = Array.from({ length: POLICIES }, (_, index) => ({
  id: `rule${index}`,
  path: `/other/${index}/**`,
  limits: '0/hour',
}));

class AppModule {}
Module({
  imports: [
    RateLimitModule.forRoot({ rules }),
    ...(hasConsole ? [RateLimitConsoleModule.forRoot({ open: true })] : []),
  ],
  controllers: [ReportsController],
})(AppModule);
const app = await (await NestFactory.create(AppModule, { logger: false })).init();
const guard = app.get(RateLimitGuard);
const limiter = app.get(RateLimiterService);

const response = { headersSent: false, setHeader() {} };

function contextOf(client) {
  const request = {
    method: 'GET',
    ip: `203.0.113.${client}`,
    originalUrl: '/reports',
    route: { path: '/reports' },
  };
  const http = { getRequest: () => request, getResponse: () => response };
  return {
    getType: () => 'http',
    getClass: () => ReportsController,
    getHandler: () => prototype.find,
    getArgByIndex: (index) => [request, response][index],
    switchToHttp: () => http,
  };
}

answerQuestions({
  /** Nanoseconds of processor time per call. */
  call(times) {
    const usage = process.cpuUsage();
    for (let count = 0; count < times; count++) {
      if (guard.canActivate(contextOf(count % CLIENTS)) !== true) throw new Error('refused, or not at once');
    }
    return (processorTime(usage) * 1000) / times;
  },

  /** Bytes by which the heap has grown after refusals of so many identities, by all rules in turn. */
  async flood(identities) {
    const before = await heapBytes();
    for (let identity = 0; identity < identities; identity++) {
      const rule = `rule${identity % POLICIES}`;
      if (await limiter.hit({ policy: rule, route: `rule ${rule}` }, `2001:db8:${identity.toString(16)}::1`))
        throw new Error('allowed');
    }
    return (await heapBytes()) - before;
  },
});
