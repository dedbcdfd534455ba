import { expect, it } from '@jest/globals';
import { Controller, Get, Post, VersioningType } from '@nestjs/common';
import {
  ApiTooManyRequestsResponse,
  DocumentBuilder,
  SwaggerModule,
  type OpenAPIObject,
} from '@nestjs/swagger';
import { Validator } from '@seriousme/openapi-schema-validator';
import { RateLimit, SkipRateLimit, type RateLimitModuleOptions } from 'nestjs-limits';
import { RateLimitConsoleModule } from 'nestjs-limits/console';
import { documentRateLimits, type DescribedPolicy } from 'nestjs-limits/swagger';
import { describeOverHttp, limited, type HttpApp } from '../support/http-app.js';

@Controller('orders')
class OrdersController {
  @Get(':id')
  find() {
    return '';
  }

  @Post()
  @RateLimit('5/minute', {
    name: 'orders',
    plans: { pro: '100/minute; 5 concurrent', internal: 'unlimited' },
  })
  create() {
    return '';
  }

  @Get('export/all')
  @RateLimit(() => '3/hour', { name: 'exports' })
  exportAll() {
    return '';
  }

  @Get('trial/run')
  @SkipRateLimit('default')
  @RateLimit('1/day', { name: 'trial', mode: 'shadow' })
  trial() {
    return '';
  }

  @Get('trial/found')
  @SkipRateLimit('default')
  @RateLimit(() => '1/day', { name: 'found', mode: 'shadow' })
  found() {
    return '';
  }

  @Get('health/live')
  @SkipRateLimit()
  health() {
    return '';
  }
}

@Controller({ path: 'orders', version: '2' })
class NewOrdersController {
  @Post()
  @RateLimit('7/month', { name: 'orders', strategy: 'calendar-window' })
  @ApiTooManyRequestsResponse({ description: 'Too many orders.' })
  create() {
    return '';
  }
}

@Controller({ path: 'items', version: '1' })
class FirstController {
  @Get()
  @RateLimit('1/minute')
  all() {
    return '';
  }
}

@Controller({ path: 'items', version: '11' })
class EleventhController {
  @Get()
  @RateLimit('11/minute')
  all() {
    return '';
  }
}

interface Operation {
  readonly responses: Readonly<Record<string, { description: string; headers?: object; content?: object }>>;
  readonly 'x-rate-limit'?: readonly DescribedPolicy[];
}

const FIXED = { strategy: 'fixed-window' };

describeOverHttp('An OpenAPI document', (start) => {
  async function documentOf(options: RateLimitModuleOptions = {}): Promise<OpenAPIObject> {
    const configure = (app: HttpApp['nest']): void => {
      app.setGlobalPrefix('api');
      app.enableVersioning({ type: VersioningType.URI, defaultVersion: '1' });
    };
    const metadata = limited([OrdersController, NewOrdersController], { limits: '60/minute', ...options });
    const { nest } = await start(metadata, { configure });
    const plain = SwaggerModule.createDocument(nest, new DocumentBuilder().setTitle('Shop').build());
    return documentRateLimits(nest, plain);
  }

  function operation({ paths }: OpenAPIObject, method: 'get' | 'post', path: string): Operation {
    return paths[path]?.[method] as unknown as Operation;
  }

  it('is valid, and has the limits of each operation in words and in seconds', async () => {
    const document = await documentOf();
    expect(
      await new Validator().validate(JSON.parse(JSON.stringify(document)) as Record<string, unknown>),
    ).toEqual({ valid: true });
    expect(operation(document, 'get', '/api/v1/orders/{id}')['x-rate-limit']).toEqual([
      {
        policy: 'default',
        limits: [{ name: 'default', amount: 60, period: 60, description: '60 per minute', ...FIXED }],
      },
    ]);
  });

  it('keeps what belongs to no route of the application', async () => {
    const { nest } = await start(limited([OrdersController], { limits: '60/minute' }));
    const parameters = { parameters: [{ name: 'id', in: 'query' }] };
    const paths = { '/other': { ...parameters, get: { responses: {} } }, '/orders': parameters };
    const info = { title: 'Shop', version: '1' };
    const document = await documentRateLimits(nest, { openapi: '3.0.0', info, paths });
    expect(document.paths).toEqual(paths);
  });

  it('has the legacy field of the reset as a text if it is an ISO time', async () => {
    for (const [reset, type] of [
      ['iso', 'string'],
      ['seconds', 'integer'],
    ] as const) {
      const document = await documentOf({ headers: { legacy: { reset } } });
      expect(operation(document, 'get', '/api/v1/orders/{id}')).toMatchObject({
        responses: { 429: { headers: { 'X-RateLimit-Reset': { schema: { type } } } } },
      });
    }
  });

  it('has limits by plan, slots, and plans without limits', async () => {
    const limits = operation(await documentOf(), 'post', '/api/v1/orders')['x-rate-limit'];
    expect(limits?.find(({ policy }) => policy === 'orders')).toEqual({
      policy: 'orders',
      limits: [{ name: 'orders', amount: 5, period: 60, description: '5 per minute', ...FIXED }],
      plans: {
        pro: [
          expect.objectContaining({ amount: 100, period: 60, description: '100 per minute' }),
          expect.objectContaining({
            amount: 5,
            period: null,
            description: '5 at once',
            strategy: 'concurrency',
          }),
        ],
        internal: 'unlimited',
      },
    });
  });

  it('says that the limits of a function are dynamic', async () => {
    const limits = operation(await documentOf(), 'get', '/api/v1/orders/export/all')['x-rate-limit'];
    expect(limits?.find(({ policy }) => policy === 'exports')).toEqual({
      policy: 'exports',
      limits: 'dynamic',
    });
  });

  it('tells versions apart, and keeps what the application says of 429', async () => {
    const { responses, 'x-rate-limit': limits } = operation(await documentOf(), 'post', '/api/v2/orders');
    expect(limits?.find(({ policy }) => policy === 'orders')?.limits).toEqual([
      expect.objectContaining({ amount: 7, description: '7 per month', strategy: 'calendar-window' }),
    ]);
    expect(responses['429']).toMatchObject({
      description: 'Too many orders.',
      headers: { 'Retry-After': { schema: { type: 'integer' } } },
    });
  });

  it('leaves operations alone that are skipped, or that only a shadow limit counts', async () => {
    const document = await documentOf();
    for (const path of ['health/live', 'trial/run', 'trial/found']) {
      const { responses, 'x-rate-limit': limits } = operation(document, 'get', `/api/v1/orders/${path}`);
      expect([Object.keys(responses), limits]).toEqual([['200'], undefined]);
    }
  });

  it('has the rules that cover all requests of an operation', async () => {
    const document = await documentOf({
      rules: [
        { id: 'writes', method: 'POST', path: '/api/v1/orders', limits: '2/second' },
        { id: 'one', path: '/api/v1/orders/7', limits: '1/second' },
      ],
    });
    const namesAt = (method: 'get' | 'post', path: string): unknown =>
      operation(document, method, path)['x-rate-limit']?.map(({ policy }) => policy);
    expect(namesAt('post', '/api/v1/orders')).toEqual(['default', 'orders', 'writes']);
    expect(namesAt('post', '/api/v2/orders')).toEqual(['default', 'orders']);
    expect(namesAt('get', '/api/v1/orders/{id}')).toEqual(['default']);
  });

  it.each([
    ['nest', 'application/json', ['statusCode', 'error', 'message', 'limit', 'retryAfter']],
    ['throttler', 'application/json', ['statusCode', 'message']],
    ['problem', 'application/problem+json', ['type', 'title', 'status', 'detail', 'violated-policies']],
  ] as const)(
    'has the body and the header fields of a refusal in the format %s',
    async (errorFormat, type, keys) => {
      const document = await documentOf({ errorFormat, headers: { legacy: true } });
      const { content, headers } = operation(document, 'get', '/api/v1/orders/{id}').responses['429'] ?? {};
      expect(content).toEqual({ [type]: { schema: { $ref: '#/components/schemas/RateLimitExceeded' } } });
      expect(Object.keys(headers ?? {})).toEqual([
        'Retry-After',
        'RateLimit-Policy',
        'RateLimit',
        'X-RateLimit-Limit',
        'X-RateLimit-Remaining',
        'X-RateLimit-Reset',
      ]);
      expect(document.components?.schemas?.['RateLimitExceeded']).toMatchObject({ required: keys });
    },
  );

  it('tells versions apart of which one ends like another', async () => {
    const { nest } = await start(limited([FirstController, EleventhController]), {
      configure: (app) => app.enableVersioning({ type: VersioningType.URI }),
    });
    const plain = SwaggerModule.createDocument(nest, new DocumentBuilder().setTitle('Shop').build());
    const document = await documentRateLimits(nest, plain);
    expect(
      ['/v1/items', '/v11/items'].map((path) => operation(document, 'get', path)['x-rate-limit']),
    ).toEqual([
      [expect.objectContaining({ limits: [expect.objectContaining({ amount: 1 })] })],
      [expect.objectContaining({ limits: [expect.objectContaining({ amount: 11 })] })],
    ]);
  });

  it('does not show the console to the clients of the application', async () => {
    const { imports = [], ...metadata } = limited([FirstController]);
    const console = RateLimitConsoleModule.forRoot({ open: true });
    const { nest } = await start({ imports: [...imports, console], ...metadata });
    const { paths } = SwaggerModule.createDocument(nest, new DocumentBuilder().build());
    expect(Object.keys(paths)).toEqual(['/items']);
  });

  it('has no body where the application creates the error, and no fields where none are sent', async () => {
    const document = await documentOf({ errorFactory: () => new Error('no'), headers: false });
    expect(operation(document, 'get', '/api/v1/orders/{id}').responses['429']).toEqual({
      description: 'A rate limit refuses the request.',
    });
    expect(document.components?.schemas).toEqual({});
  });
});
