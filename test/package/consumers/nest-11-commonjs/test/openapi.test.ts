import type { INestApplication } from '@nestjs/common';
import { DocumentBuilder, SwaggerModule } from '@nestjs/swagger';
import { Test } from '@nestjs/testing';
import { documentRateLimits } from 'nestjs-limits/swagger';
import { AppModule } from '../src/app.module';

describe('documentRateLimits, before the application starts,', () => {
  let app: INestApplication;
  afterEach(() => app.close());

  it('describes the limits of an operation', async () => {
    app = (await Test.createTestingModule({ imports: [AppModule] }).compile()).createNestApplication();
    const document = SwaggerModule.createDocument(app, new DocumentBuilder().build());
    const { paths } = await documentRateLimits(app, document);
    expect(paths['/greeting']?.get).toMatchObject({
      responses: { '429': { content: { 'application/json': {} } } },
      'x-rate-limit': [
        { policy: 'default', limits: [{ amount: 3, period: 60, description: '3 per minute' }] },
      ],
    });
  });
});
