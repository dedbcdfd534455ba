import { expect, it } from '@jest/globals';
import {
  Catch,
  Controller,
  ForbiddenException,
  Get,
  HttpException,
  type ArgumentsHost,
  type ExceptionFilter,
  type ExecutionContext,
} from '@nestjs/common';
import { BaseExceptionFilter, HttpAdapterHost } from '@nestjs/core';
import {
  Decision,
  RateLimit,
  RateLimitExceededException,
  RateLimitInfo,
  type RateLimitModuleOptions,
} from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { describeOverHttp, limited } from '../support/http-app.js';

@Controller()
class AnswersController {
  @Get()
  @RateLimit('2/minute; 9/hour')
  limited() {
    return '';
  }

  @Get('costly')
  @RateLimit('2/minute', { cost: 3 })
  costly() {
    return '';
  }
}

/** Of a window that opens when a manual clock starts. */
const END_OF_HOUR = new Date(new ManualClock().now() + 3_600_000).toISOString();

const POLICY = '"default/minute";q=2;w=60, "default/hour";q=9;w=3600';

describeOverHttp('The name of a limit among several, and the message of a refusal,', (start) => {
  it.each([
    ['0/1000 ms; 9/hour', 'default/second', 'second'],
    ['0/60 seconds; 9/hour', 'default/minute', 'minute'],
    ['0/90 seconds; 9/hour', 'default/90-second', '90 seconds'],
    ['0 per 120 minutes; 9/day', 'default/2-hour', '2 hours'],
    ['0/month; 9/minute', 'default/month', 'month'],
  ])('say the same of %s', async (limits, name, period) => {
    @Controller()
    class NamedController {
      @Get()
      @RateLimit(limits)
      home() {
        return '';
      }
    }
    const app = await start(limited([NamedController]));
    const { limit, message } = (await app.get('/')).body as { limit: { name: string }; message: string };
    expect(limit.name).toBe(name);
    expect(message).toMatch(`Rate limit "${name}" exceeded: 0 per ${period}. `);
  });
});

describeOverHttp('Problem details', (start) => {
  const PROBLEM = /^application\/problem\+json/;
  const options: RateLimitModuleOptions = { errorFormat: 'problem', limits: '0/minute' };
  @Controller()
  class RefusedController {
    @Get()
    home() {
      return '';
    }
  }
  const filtered = (filter: ExceptionFilter): ReturnType<typeof start> =>
    start(limited([RefusedController], options), { configure: (app) => app.useGlobalFilters(filter) });
  const reply = (host: ArgumentsHost, body: object | string): void => {
    const response = host
      .switchToHttp()
      .getResponse<{ status(code: number): { send(body: unknown): void } }>();
    response.status(429).send(body);
  };

  it('label only their own body, and no other one of a filter', async () => {
    const own = await start(limited([RefusedController], options));
    expect((await own.get('/')).headers.get('content-type')).toMatch(PROBLEM);

    const object = await filtered({ catch: (_error, host) => reply(host, { error: 'too fast' }) });
    expect((await object.get('/')).headers.get('content-type')).toMatch(/^application\/json/);

    const text = await filtered({ catch: (_error, host) => reply(host, 'too fast') });
    expect((await text.get('/')).headers.get('content-type')).toMatch(/^text\/(html|plain)/);

    const extended = await filtered({
      catch: (error: HttpException, host) =>
        reply(host, { ...(error.getResponse() as object), trace: 'abc' }),
    });
    const { headers, body } = await extended.get('/');
    expect([headers.get('content-type'), body]).toEqual([
      'application/json; charset=utf-8',
      expect.objectContaining({ status: 429, trace: 'abc' }),
    ]);

    const wrapped = await filtered({
      catch: (error: HttpException, host) => reply(host, { error: error.getResponse() }),
    });
    const reply429 = await wrapped.get('/');
    expect([reply429.headers.get('content-type'), reply429.body]).toEqual([
      'application/json; charset=utf-8',
      { error: expect.objectContaining({ status: 429 }) },
    ]);
  });

  it('are labelled when a filter passes them on', async () => {
    @Catch(RateLimitExceededException)
    class PassingFilter extends BaseExceptionFilter {
      override catch(error: RateLimitExceededException, host: ArgumentsHost) {
        super.catch(error, host);
      }
    }
    const app = await start(limited([RefusedController], options), {
      configure: (nest) => nest.useGlobalFilters(new PassingFilter(nest.get(HttpAdapterHost).httpAdapter)),
    });
    const { headers, body } = await app.get('/');
    expect(headers.get('content-type')).toMatch(PROBLEM);
    expect(body).toMatchObject({ status: 429, 'violated-policies': ['default'] });
  });
});

describeOverHttp('Header fields', (start) => {
  it.each<[string, RateLimitModuleOptions['headers'], Record<string, string>, Record<string, string>]>([
    [
      'by default',
      undefined,
      { 'ratelimit-policy': POLICY, ratelimit: '"default/minute";r=1;t=60, "default/hour";r=8;t=3600' },
      {
        'ratelimit-policy': POLICY,
        ratelimit: '"default/minute";r=0;t=50, "default/hour";r=7;t=3590',
        'retry-after': '50',
      },
    ],
    [
      'with legacy ones beside them',
      { legacy: true },
      {
        'ratelimit-policy': POLICY,
        ratelimit: '"default/minute";r=1;t=60, "default/hour";r=8;t=3600',
        'x-ratelimit-limit': '2',
        'x-ratelimit-remaining': '1',
        'x-ratelimit-reset': '60',
      },
      {
        'ratelimit-policy': POLICY,
        ratelimit: '"default/minute";r=0;t=50, "default/hour";r=7;t=3590',
        'x-ratelimit-limit': '2',
        'x-ratelimit-remaining': '0',
        'x-ratelimit-reset': '50',
        'retry-after': '50',
      },
    ],
    [
      'with legacy ones alone',
      { legacy: true, standard: false, retryAfter: false },
      { 'x-ratelimit-limit': '2', 'x-ratelimit-remaining': '1', 'x-ratelimit-reset': '60' },
      { 'x-ratelimit-limit': '2', 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '50' },
    ],
    [
      'with the legacy ones of one limit, and the time of its reset',
      { legacy: { show: 'default/hour', reset: 'iso' }, standard: false, retryAfter: false },
      { 'x-ratelimit-limit': '9', 'x-ratelimit-remaining': '8', 'x-ratelimit-reset': END_OF_HOUR },
      { 'x-ratelimit-limit': '9', 'x-ratelimit-remaining': '7', 'x-ratelimit-reset': END_OF_HOUR },
    ],
    [
      'with legacy ones of each limit',
      { legacy: { perLimit: true }, standard: false, retryAfter: false },
      {
        'x-ratelimit-limit-default-minute': '2',
        'x-ratelimit-remaining-default-minute': '1',
        'x-ratelimit-reset-default-minute': '60',
        'x-ratelimit-limit-default-hour': '9',
        'x-ratelimit-remaining-default-hour': '8',
        'x-ratelimit-reset-default-hour': '3600',
      },
      {
        'x-ratelimit-limit-default-minute': '2',
        'x-ratelimit-remaining-default-minute': '0',
        'x-ratelimit-reset-default-minute': '50',
        'x-ratelimit-limit-default-hour': '9',
        'x-ratelimit-remaining-default-hour': '7',
        'x-ratelimit-reset-default-hour': '3590',
      },
    ],
    ['without the standard ones', { standard: false }, {}, { 'retry-after': '50' }],
    [
      'without Retry-After',
      { retryAfter: false },
      { 'ratelimit-policy': POLICY, ratelimit: '"default/minute";r=1;t=60, "default/hour";r=8;t=3600' },
      { 'ratelimit-policy': POLICY, ratelimit: '"default/minute";r=0;t=50, "default/hour";r=7;t=3590' },
    ],
    ['switched off', false, {}, {}],
  ])('are sent %s', async (_how, headers, allowed, refused) => {
    const clock = new ManualClock();
    const app = await start(limited([AnswersController], headers === undefined ? {} : { headers }, clock));
    expect((await app.get('/')).fields).toEqual(allowed);
    clock.advance(10_000);
    await app.get('/');
    const reply = await app.get('/');
    expect(reply.status).toBe(429);
    expect(reply.fields).toEqual(refused);
  });

  it('of the legacy kind have no reset time where no wait would help', async () => {
    const app = await start(limited([AnswersController], { headers: { legacy: true } }));
    expect((await app.get('/costly')).fields).toEqual({
      'ratelimit-policy': '"default";q=2;w=60',
      ratelimit: '"default";r=2',
      'x-ratelimit-limit': '2',
      'x-ratelimit-remaining': '2',
      'x-ratelimit-reset': '0',
    });
  });

  it('of the legacy kind leave out a limit that the request costs nothing', async () => {
    @Controller()
    class CheapController {
      @Get()
      @RateLimit('9/minute', { name: 'requests' })
      @RateLimit('1/minute', { name: 'tokens', cost: 0 })
      cheap() {
        return '';
      }
    }
    const app = await start(limited([CheapController], { headers: { legacy: { reset: 'epoch' } } }));
    expect((await app.get('/')).fields).toMatchObject({
      'x-ratelimit-limit': '9',
      'x-ratelimit-remaining': '8',
      'x-ratelimit-reset': String(Math.ceil(Date.parse(END_OF_HOUR) / 1000) - 3540),
    });
  });

  it('are also sent with an error of the handler', async () => {
    @Controller()
    class FailingController {
      @Get()
      @RateLimit('2/minute')
      fail() {
        throw new ForbiddenException();
      }
    }
    const app = await start(limited([FailingController]));
    const reply = await app.get('/');
    expect([reply.status, reply.remaining]).toEqual([403, '"default";r=1']);
  });
});

describeOverHttp('A refusal', (start) => {
  it('has the text of the option errorMessage, in the body and as the message', async () => {
    const app = await start(limited([AnswersController], { errorMessage: 'Slow down, please.' }));
    await app.statuses(2, '/');
    expect((await app.get('/')).body).toEqual({
      statusCode: 429,
      error: 'Too Many Requests',
      message: 'Slow down, please.',
      limit: { name: 'default/minute', amount: 2, period: 60, remaining: 0 },
      retryAfter: 60,
    });
  });

  it('has the text of the errorMessage of its limit', async () => {
    @Controller()
    class TellingController {
      @Get('telling')
      @RateLimit('1/minute', { errorMessage: ({ retryAfter }) => `Wait ${retryAfter} ms.` })
      telling() {
        return '';
      }
    }
    const app = await start(limited([TellingController], { errorMessage: 'Slow down, please.' }));
    await app.get('/telling');
    expect((await app.get('/telling')).body).toMatchObject({ statusCode: 429, message: 'Wait 60000 ms.' });
  });

  it('has the text that the function errorMessage returns for the decision and the context', async () => {
    const errorMessage = (decision: Decision, context: ExecutionContext): string =>
      `${context.getClass().name}.${context.getHandler().name}: ${decision.binding.limit.name}, ${decision.retryAfter} ms, {"a"}\n`;
    const app = await start(limited([AnswersController], { errorMessage }));
    await app.statuses(2, '/');
    expect((await app.get('/')).body).toMatchObject({
      message: 'AnswersController.limited: default/minute, 60000 ms, {"a"}\n',
    });
  });

  it('throws the error of errorFactory, with its status and body, and the header fields of the library', async () => {
    class TooFast extends HttpException {
      constructor(readonly wait: number | undefined) {
        super({ wait }, 503);
      }
    }
    const app = await start(
      limited([AnswersController], { errorFactory: (decision) => new TooFast(decision.retryAfter) }),
    );
    await app.statuses(2, '/');
    const reply = await app.get('/');
    expect([reply.status, reply.body]).toEqual([503, { wait: 60_000 }]);
    expect(reply.fields['retry-after']).toBe('60');
  });

  it('passes the context to errorFactory', async () => {
    const errorFactory = (_decision: Decision, context: ExecutionContext): Error =>
      new HttpException(`not so fast in ${context.getHandler().name}`, 420);
    const app = await start(limited([AnswersController], { errorFactory }));
    await app.statuses(2, '/');
    expect((await app.get('/')).body).toEqual({ statusCode: 420, message: 'not so fast in limited' });
  });

  it('passes the decision to an exception filter', async () => {
    const seen: RateLimitExceededException[] = [];
    @Catch(RateLimitExceededException)
    class RecordingFilter extends BaseExceptionFilter implements ExceptionFilter {
      override catch(exception: RateLimitExceededException, host: ArgumentsHost): void {
        seen.push(exception);
        super.catch(exception, host);
      }
    }
    const clock = new ManualClock();
    const app = await start(limited([AnswersController], {}, clock), {
      configure: (nest) => nest.useGlobalFilters(new RecordingFilter(nest.get(HttpAdapterHost).httpAdapter)),
    });
    expect(await app.statuses(3, '/')).toEqual([200, 200, 429]);
    expect(seen).toHaveLength(1);
    const [exception] = seen;
    expect(exception).toBeInstanceOf(HttpException);
    expect(exception?.getStatus()).toBe(429);
    expect(exception?.message).toBe('Rate limit "default/minute" exceeded: 2 per minute. Try again in 60 s.');
    const decision = exception?.decision;
    expect(decision).toBeInstanceOf(Decision);
    expect(decision).toMatchObject({ allowed: false, retryAfter: 60_000, remaining: 0, now: clock.now() });
    expect(decision?.limits.map(({ limit, allowed, remaining }) => [limit.name, allowed, remaining])).toEqual(
      [
        ['default/minute', false, 0],
        ['default/hour', true, 7],
      ],
    );
    expect(decision?.receipts).toEqual([]);
  });

  it.each([
    ['1/second', '1 per second', 'Try again in 1 s.'],
    ['1/90 seconds', '1 per 90 seconds', 'Try again in 90 s.'],
    ['1/60 seconds', '1 per minute', 'Try again in 60 s.'],
    ['1/2 hours', '1 per 2 hours', 'Try again in 7200 s.'],
    ['1/500 ms', '1 per 500 milliseconds', 'Try again in 1 s.'],
    ['1/month', '1 per month', 'Try again in 2592000 s.'],
  ])('of %s describes the window in words', async (limit, window, advice) => {
    @Controller()
    class WindowController {
      @Get()
      @RateLimit(limit)
      get() {
        return '';
      }
    }
    const app = await start(limited([WindowController]));
    await app.get('/');
    expect((await app.get('/')).body).toMatchObject({
      message: `Rate limit "default" exceeded: ${window}. ${advice}`,
    });
  });

  it('describes sub-second windows in fractions of a second', async () => {
    @Controller()
    class ShortController {
      @Get()
      @RateLimit('1/1500 ms')
      get() {
        return '';
      }
    }
    const app = await start(limited([ShortController]));
    await app.get('/');
    const refused = await app.get('/');
    expect(refused.body).toMatchObject({ limit: { period: 1.5 }, retryAfter: 2 });
    expect(refused.fields).toEqual({
      'ratelimit-policy': '"default";q=1;w=2',
      ratelimit: '"default";r=0;t=2',
      'retry-after': '2',
    });
  });
});

describeOverHttp('@RateLimitInfo', (start) => {
  @Controller()
  class InfoController {
    @Get('limited')
    @RateLimit('5/minute', { name: 'own' })
    limited(@RateLimitInfo() decision?: Decision) {
      return {
        isDecision: decision instanceof Decision,
        allowed: decision?.allowed,
        remaining: decision?.remaining,
        names: decision?.limits.map(({ limit }) => limit.name),
      };
    }

    @Get('open')
    open(@RateLimitInfo() decision?: Decision) {
      return { decision: decision === undefined ? 'none' : 'some' };
    }

    @Get('skipped')
    @RateLimit('5/minute', { skip: () => true })
    skipped(@RateLimitInfo() decision?: Decision) {
      return { decision: decision === undefined ? 'none' : 'some' };
    }
  }

  it('gives a handler the decision on its request', async () => {
    const app = await start(limited([InfoController]));
    expect((await app.get('/limited')).body).toEqual({
      isDecision: true,
      allowed: true,
      remaining: 4,
      names: ['own'],
    });
    expect((await app.get('/limited')).body).toMatchObject({ remaining: 3 });
  });

  it('is undefined where no limit applied', async () => {
    const app = await start(limited([InfoController]));
    expect((await app.get('/open')).body).toEqual({ decision: 'none' });
    expect((await app.get('/skipped')).body).toEqual({ decision: 'none' });
  });
});
