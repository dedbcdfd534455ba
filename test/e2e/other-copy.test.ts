import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Controller, Get } from '@nestjs/common';
import { DocumentBuilder, SwaggerModule } from '@nestjs/swagger';
import { RateLimit } from 'nestjs-limits';
import * as metrics from 'nestjs-limits/opentelemetry';
import * as swagger from 'nestjs-limits/swagger';
import { DECIDING_STORAGE, RATE_LIMIT_EVENTS } from '../../lib/nest/options/rate-limit.tokens.js';
import { limited, startHttpApp, type HttpApp } from '../support/http-app.js';
import { Prometheus } from '../support/prometheus.js';
import { until } from '../support/servers/server-process.js';

/** Lets the handler end. */
let finish: () => void;

@Controller('exports')
class ExportsController {
  @Get()
  @RateLimit('5 concurrent', { name: 'exports' })
  exports() {
    return new Promise<string>((resolve) => {
      finish = () => resolve('');
    });
  }
}

/** A copy of the package as its CommonJS form is, next to the ES modules that the application loads. */
describe('An entry of another copy of the package', () => {
  let otherMetrics: typeof metrics;
  let otherSwagger: typeof swagger;
  let app: HttpApp;

  beforeAll(async () => {
    app = await startHttpApp('express', limited([ExportsController]));
    jest.resetModules();
    otherMetrics = await import('nestjs-limits/opentelemetry');
    otherSwagger = await import('nestjs-limits/swagger');
  });

  afterAll(() => app.close());

  it('describes limits in an OpenAPI document', async () => {
    expect(otherSwagger.documentRateLimits).not.toBe(swagger.documentRateLimits);
    const plain = SwaggerModule.createDocument(app.nest, new DocumentBuilder().build());
    const document = await otherSwagger.documentRateLimits(app.nest, plain);
    expect(document.paths['/exports']?.get?.responses).toHaveProperty('429');
    expect(document).toEqual(await swagger.documentRateLimits(app.nest, plain));
  });

  it('measures the slots and cells of the application', async () => {
    expect(otherMetrics.RateLimitMetrics).not.toBe(metrics.RateLimitMetrics);
    const prometheus = await Prometheus.start();
    new otherMetrics.RateLimitMetrics().add(app.nest.get(RATE_LIMIT_EVENTS), app.nest.get(DECIDING_STORAGE));
    const answer = app.get('/exports');
    await until(
      async () => (await prometheus.sum('nestjs_limits_slots', { policy: 'exports' })) === 1,
      'a slot is held',
    );
    expect(await prometheus.sum('nestjs_limits_memory_cells', { policy: 'exports' })).toBe(1);
    finish();
    await answer;
    await prometheus.close();
  });
});
