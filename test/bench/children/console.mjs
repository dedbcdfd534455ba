/**
 * A process with two applications in it, one of which has a console. Calls their guards themselves, past HTTP. In one process, since
 * two that do the same work differ by more than what is measured.
 */
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

const applications = {
  none: await createApplication([]),
  console: await createApplication([RateLimitConsoleModule.forRoot({ open: true })]),
};

const response = { headersSent: false, setHeader() {} };

async function createApplication(imports) {
  class AppModule {}
  Module({ imports: [RateLimitModule.forRoot({ rules }), ...imports], controllers: [ReportsController] })(
    AppModule,
  );
  const app = await (await NestFactory.create(AppModule, { logger: false })).init();
  return { guard: app.get(RateLimitGuard), limiter: app.get(RateLimiterService) };
}

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
  call(name, times) {
    const { guard } = applications[name];
    const usage = process.cpuUsage();
    for (let count = 0; count < times; count++) {
      if (guard.canActivate(contextOf(count % CLIENTS)) !== true) throw new Error('refused, or not at once');
    }
    return (processorTime(usage) * 1000) / times;
  },

  /** Bytes by which the heap has grown after refusals of so many identities, by all rules in turn. */
  async flood(name, identities) {
    const { limiter } = applications[name];
    const before = await heapBytes();
    for (let identity = 0; identity < identities; identity++) {
      const rule = `rule${identity % POLICIES}`;
      if (await limiter.hit({ policy: rule, route: `rule ${rule}` }, `2001:db8:${identity.toString(16)}::1`))
        throw new Error('allowed');
    }
    return (await heapBytes()) - before;
  },
});
