/** A process with two Nest applications on Fastify, one limit each; one of them records metrics by OpenTelemetry. */
import 'reflect-metadata';
import { Controller, Get, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { metrics } from '@opentelemetry/api';
import { PrometheusExporter } from '@opentelemetry/exporter-prometheus';
import { MeterProvider } from '@opentelemetry/sdk-metrics';
import { RateLimitModule } from 'nestjs-limits';
import { RateLimitMetricsModule } from 'nestjs-limits/opentelemetry';
import { answerQuestions } from '../support/child.mjs';
import { processorTime } from '../support/processor-time.mjs';

const reader = new PrometheusExporter({ preventServerStart: true });
metrics.setGlobalMeterProvider(new MeterProvider({ readers: [reader] }));

class AppController {
  hello() {
    return { message: 'Hello!' };
  }
}
Get()(AppController.prototype, 'hello', Object.getOwnPropertyDescriptor(AppController.prototype, 'hello'));
Controller()(AppController);

const urls = [await start([]), await start([RateLimitMetricsModule])];
let usage = process.cpuUsage();

answerQuestions({
  urls: () => urls,
  startWatch() {
    usage = process.cpuUsage();
  },
  /** Microseconds of processor time since the watch was started. */
  readWatch: () => processorTime(usage),
});

async function start(imports) {
  class AppModule {}
  const limits = RateLimitModule.forRoot({ limits: '1000000000/hour' });
  Module({ imports: [limits, ...imports], controllers: [AppController] })(AppModule);
  const app = await NestFactory.create(AppModule, new FastifyAdapter(), { logger: ['error', 'warn'] });
  await app.listen(0, '127.0.0.1');
  return app.getUrl();
}
