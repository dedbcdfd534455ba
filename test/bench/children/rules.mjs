/** A process with one application in it that has so many rules, the last of which matches its one route. Calls the guard itself, past HTTP. */
import 'reflect-metadata';
import { Controller, Get, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { RateLimitGuard, RateLimitModule } from 'nestjs-limits';
import { answerQuestions } from '../support/child.mjs';
import { processorTime } from '../support/processor-time.mjs';

const LIMIT = '1000000000/hour';
/** As many clients as fit into the caches of a processor, or they would be what is measured. */
const CLIENTS = 100;

const rules = Number(process.argv[2]);
const path = process.argv[3];

class ReportsController {
  find() {}
}
const { prototype } = ReportsController;
Get(':id')(prototype, 'find', Object.getOwnPropertyDescriptor(prototype, 'find'));
Controller('reports')(ReportsController);

/** Without rules, the same limit is the module's. */
const options = {
  headers: false,
  ...(rules === 0 ? { limits: LIMIT } : {}),
  rules: Array.from({ length: rules }, (_, index) => ({
    id: `rule${index}`,
    path: index === rules - 1 ? path : `/other/${index}/**`,
    limits: LIMIT,
    priority: -index,
  })),
};

class AppModule {}
Module({ imports: [RateLimitModule.forRoot(options)], controllers: [ReportsController] })(AppModule);
const app = await (await NestFactory.create(AppModule, { logger: false })).init();
const guard = app.get(RateLimitGuard);

const route = { path: '/reports/:id' };
const response = { setHeader() {} };

function contextOf(client) {
  const request = { method: 'GET', ip: `203.0.113.${client}`, originalUrl: '/reports/42', route };
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
});
