import { afterEach, beforeEach, expect, it } from '@jest/globals';
import {
  Controller,
  Get,
  HttpException,
  Req,
  UnauthorizedException,
  type ExecutionContext,
} from '@nestjs/common';
import {
  RateLimit,
  ResolverError,
  type RateLimitModuleOptions,
  type RateLimitOptions,
  type RequestOutcome,
} from 'nestjs-limits';
import { inspect } from 'node:util';
import { setImmediate as immediate } from 'node:timers/promises';
import { describeOverHttp, limited, type HttpApp, type StartHttpApp } from '../support/http-app.js';

type Query = Record<string, string | undefined>;

const query = (context: ExecutionContext): Query =>
  context.switchToHttp().getRequest<{ query: Query }>().query;

/**
 * The wrong answer for `/?fail=now`, a promise of it for `/?fail=later`, and otherwise the right
 * one.
 */
const answerWith = (context: ExecutionContext, wrong: unknown, right: unknown): unknown => {
  const when = query(context)['fail'];
  return when === undefined ? right : when === 'later' ? Promise.resolve(wrong) : wrong;
};

/** A value that only callers without types can pass. */
const untyped = (value: unknown): never => value as never;

/** Starts an application with one route, GET /, that is limited with these options. */
function startWith(
  start: StartHttpApp,
  options: RateLimitOptions,
  moduleOptions: RateLimitModuleOptions = {},
): Promise<HttpApp> {
  @Controller()
  class ProbeController {
    @Get()
    @RateLimit('100/minute', options)
    probe() {
      return '';
    }
  }
  return start(limited([ProbeController], moduleOptions));
}

function thrower(thrown: unknown): () => never {
  return () => {
    throw thrown;
  };
}

describeOverHttp('Functions of the application', (start) => {
  const unhandled: unknown[] = [];
  const keep = (reason: unknown): void => void unhandled.push(reason);

  beforeEach(() => {
    process.on('unhandledRejection', keep);
  });

  afterEach(async () => {
    await immediate();
    process.off('unhandledRejection', keep);
    expect(unhandled.splice(0)).toEqual([]);
  });

  /**
   * Expects 500 for `/?fail`, synchronously or later, an error in the log with the reason, and a
   * process that keeps running.
   *
   * @param counted names of the limits that still count such a request
   */
  async function expectFailure(
    app: HttpApp,
    message: string,
    counted: readonly string[] = [],
  ): Promise<ResolverError> {
    for (const when of ['now', 'later']) {
      const reply = await app.get(`/?fail=${when}`);
      expect(reply.status).toBe(500);
      expect(reply.body).toEqual({ statusCode: 500, message: 'Internal server error' });
      expect(reply.fields['ratelimit']?.match(/"[^"]*"/g) ?? []).toEqual(counted.map((name) => `"${name}"`));
      expect((await app.get('/')).status).toBe(200);
    }
    const [error, ...others] = app.log.errors as [ResolverError, ...ResolverError[]];
    expect(error).toBeInstanceOf(ResolverError);
    expect(error.message).toBe(message);
    expect(error.code).toBe('ERR_RATE_LIMIT_RESOLVER');
    expect(others.map((other) => other.message)).toEqual([message]);
    return error;
  }

  const failing = (context: ExecutionContext): void => {
    if ('fail' in query(context)) throw new Error('no user');
  };

  it.each([
    [
      'key',
      (context: ExecutionContext) => {
        failing(context);
        return 'someone';
      },
    ],
    [
      'skip',
      (context: ExecutionContext) => {
        failing(context);
        return false;
      },
    ],
    [
      'cost',
      (context: ExecutionContext) => {
        failing(context);
        return 1;
      },
    ],
  ])(
    'that throw, as the function "%s" of a decorator, cause 500 and are named in the log',
    async (name, resolve) => {
      const message = `@RateLimit on ProbeController.probe: the function "${name}" failed: no user`;
      const error = await expectFailure(await startWith(start, { [name]: resolve }), message);
      expect(error.cause).toEqual(new Error('no user'));
    },
  );

  it.each([
    [
      'key',
      async (context: ExecutionContext) => {
        await immediate();
        failing(context);
        return 'someone';
      },
    ],
    [
      'skip',
      async (context: ExecutionContext) => {
        await immediate();
        failing(context);
        return false;
      },
    ],
    [
      'cost',
      async (context: ExecutionContext) => {
        await immediate();
        failing(context);
        return 1;
      },
    ],
  ])(
    'that reject, as the function "%s" of a decorator, cause 500 and are named in the log',
    async (name, resolve) => {
      const message = `@RateLimit on ProbeController.probe: the function "${name}" failed: no user`;
      const error = await expectFailure(await startWith(start, { [name]: resolve }), message);
      expect(error.cause).toEqual(new Error('no user'));
    },
  );

  it('that fail as the skip of the module are named in the log', async () => {
    const skip = (context: ExecutionContext): boolean => {
      failing(context);
      return false;
    };
    await expectFailure(
      await startWith(start, {}, { skip }),
      'RateLimitModule: the function "skip" failed: no user',
    );
  });

  it('that fail as the key of the module are logged with the policy that called them', async () => {
    const key = (context: ExecutionContext): string => {
      failing(context);
      return 'someone';
    };
    await expectFailure(
      await startWith(start, {}, { key }),
      '@RateLimit on ProbeController.probe: the function "key" failed: no user',
    );
  });

  it('that fail as the limits of the module are logged with the module', async () => {
    const key = (context: ExecutionContext): string => {
      failing(context);
      return 'someone';
    };
    const limits = [{ name: 'all', limits: '9/minute', key }];
    await expectFailure(
      await startWith(start, {}, { limits }),
      'RateLimitModule: the function "key" failed: no user',
      ['default'],
    );
  });

  it.each([
    ['the number 42', 42],
    ['an object (Object)', {}],
    ['an array', ['someone']],
    ['the boolean true', true],
    ['the bigint "7"', 7n],
    ['the symbol "Symbol(id)"', Symbol('id')],
    ['a function (anonymous)', () => 'someone'],
  ])('that return %s as an identity cause 500 and a log line with the fix', async (description, value) => {
    const key = (context: ExecutionContext): never => untyped(answerWith(context, value, 'someone'));
    await expectFailure(
      await startWith(start, { key }),
      `@RateLimit on ProbeController.probe: the function "key" must return a string; got ${description}. ` +
        'Convert it, for example with String(id).',
    );
  });

  it.each([
    ['the number -1', -1],
    ['the number 1.5', 1.5],
    ['the number 9007199254740992', 2 ** 53],
    ['the string "2"', '2'],
    ['undefined', undefined],
    ['null', null],
    ['the bigint "2"', 2n],
  ])('that return %s as a cost cause 500 and a log line', async (description, value) => {
    const cost = (context: ExecutionContext): never => untyped(answerWith(context, value, 1));
    const error = await expectFailure(
      await startWith(start, { cost }),
      `@RateLimit on ProbeController.probe: the function "cost" failed: The cost of a hit must be a whole number from 0; got ${description}.`,
    );
    expect(error.cause).toBeInstanceOf(RangeError);
  });

  it.each([
    ['a string', 'nobody', 'nobody'],
    ['nothing', undefined, 'undefined'],
    ['null', null, 'null'],
  ])('can throw %s', async (_what, thrown: unknown, message) => {
    const key = (context: ExecutionContext): string => {
      if ('fail' in query(context)) throw thrown;
      return 'someone';
    };
    await expectFailure(
      await startWith(start, { key }),
      `@RateLimit on ProbeController.probe: the function "key" failed: ${message}`,
    );
  });

  it.each([
    [
      'throws',
      () => {
        throw new UnauthorizedException('Log in first.');
      },
    ],
    ['rejects with', async () => Promise.reject(new UnauthorizedException('Log in first.'))],
  ])('that throw an HttpException as the key %s cause the status of the exception', async (_how, key) => {
    const app = await startWith(start, { key });
    const reply = await app.get('/');
    expect(reply.status).toBe(401);
    expect(reply.body).toEqual({ statusCode: 401, message: 'Log in first.', error: 'Unauthorized' });
    expect(reply.fields).toEqual({});
    expect(app.log.entries).toEqual([]);
  });

  it('that fail together, some synchronously and some later, cause a single 500', async () => {
    const later = async (): Promise<never> => {
      await immediate();
      throw new Error('later');
    };
    const atOnce = (): never => {
      throw new Error('at once');
    };
    @Controller()
    class TogetherController {
      @Get('mixed')
      @RateLimit('1/minute', { name: 'a', key: later })
      @RateLimit('1/minute', { name: 'b', cost: atOnce })
      mixed() {
        return '';
      }

      @Get('numbers')
      @RateLimit('1/minute', { name: 'a', key: later })
      @RateLimit('1/minute', { name: 'b', key: () => untyped(7) })
      numbers() {
        return '';
      }

      @Get('later')
      @RateLimit('1/minute', { name: 'a', key: later })
      @RateLimit('1/minute', { name: 'b', cost: later })
      @RateLimit('1/minute', { name: 'c', skip: later })
      later() {
        return '';
      }

      @Get('shared')
      @RateLimit('1/minute', { name: 'a', key: later })
      @RateLimit('1/minute', { name: 'b', key: later })
      @RateLimit('1/minute', { name: 'c', key: later, cost: atOnce })
      shared() {
        return '';
      }
    }
    const app = await start(limited([TogetherController]));
    for (const path of ['/mixed', '/numbers', '/later', '/shared']) {
      expect((await app.get(path)).status).toBe(500);
      await immediate();
    }
    expect(app.log.errors.map((error) => (error as Error).constructor)).toEqual(Array(4).fill(ResolverError));
  });

  it('that return an invalid message of a refusal cause 500 and are named in the log', async () => {
    const refused = async (errorMessage: RateLimitOptions['errorMessage']): Promise<HttpApp> => {
      const app = await startWith(start, { cost: 101, ...(errorMessage && { errorMessage }) });
      expect((await app.get('/')).status).toBe(500);
      return app;
    };
    const failingOne = await refused(() => {
      throw new Error('no words');
    });
    const wordless = await refused(() => untyped(5));
    const module = await startWith(start, { cost: 101 }, { errorMessage: () => untyped(null) });
    expect((await module.get('/')).status).toBe(500);
    const errors = [failingOne, wordless, module].flatMap(({ log }) => log.errors);
    expect(errors.map((error) => (error as Error).message)).toEqual([
      '@RateLimit on ProbeController.probe: the function "errorMessage" failed: no words',
      '@RateLimit on ProbeController.probe: the function "errorMessage" must return a string; got the number 5.',
      'RateLimitModule: the function "errorMessage" must return a string; got null.',
    ]);
  });

  it('that fail as parts of one key, some synchronously and some later, cause a single 500', async () => {
    const later = async (): Promise<never> => {
      await immediate();
      throw new Error('later');
    };
    const atOnce = (): never => {
      throw new Error('at once');
    };
    const app = await startWith(start, { key: [later, atOnce] });
    expect((await app.get('/')).status).toBe(500);
    await immediate();
    const byUser = await startWith(start, { key: [later, 'user'] }, { user: () => ({}) });
    expect((await byUser.get('/')).status).toBe(500);
    expect([...app.log.errors, ...byUser.log.errors].map((error) => (error as Error).message)).toEqual([
      '@RateLimit on ProbeController.probe: the function "key" failed: at once',
      'The key "user" must be a string or a number; got an object (Object). Resolve it by the module\'s option "user": ' +
        '(request: { user?: { account: string } }) => request.user?.account, for example.',
    ]);
  });

  it('that fail as the user, which is resolved again after the response, cause 500 and no other failure', async () => {
    let known = false;
    const user = (): string => {
      if (known) throw new Error('no account');
      return '';
    };
    const app = await startWith(start, { key: 'user' }, { user });
    const answer = app.get('/');
    known = true; // as if a guard had authenticated a user without an account
    expect((await answer).status).toBe(500);
    known = false;
    expect((await app.get('/')).status).toBe(200);
    expect(app.log.errors.map((error) => (error as Error).message)).toEqual([
      '@RateLimit on ProbeController.probe: the function "key" failed: no account',
    ]);
  });

  it('that fail as the user only after the response cause no failure', async () => {
    @Controller()
    class LateController {
      @Get()
      @RateLimit('9/minute', { key: 'user' })
      late(@Req() request: { user?: object }) {
        request.user = {};
        return '';
      }
    }
    const user = (request: { user?: { account?: { id: string } } }): string | undefined =>
      request.user && (request.user.account as { id: string }).id;
    const app = await start(limited([LateController], { user }));
    expect(await app.statuses(2, '/')).toEqual([200, 200]);
    expect(app.log.entries).toEqual([]);
  });

  it('that fail for one limit do not stop the others from counting, and a refusal by these is the response', async () => {
    const name = (context: ExecutionContext): string => {
      const { body } = context.switchToHttp().getRequest<{ body?: { username: string } }>();
      return (body as { username: string }).username.toLowerCase();
    };
    @Controller()
    class LoginController {
      @Get()
      @RateLimit('2/minute', { name: 'address' })
      @RateLimit('9/minute', { name: 'account', key: name })
      login() {
        return '';
      }
    }
    const app = await start(limited([LoginController]));
    expect(await app.statuses(4, '/')).toEqual([500, 500, 429, 429]);
    const shown = [...app.log.errors, ...app.log.warnings].map((line) => inspect(line));
    expect(shown).toHaveLength(3);
    for (const line of shown) {
      expect(line).toContain(
        '@RateLimit on LoginController.login: the function "key" failed: Cannot read prop',
      );
      expect(line.split('\n').length).toBeLessThanOrEqual(2);
    }
    expect(shown[0]).toContain('application-functions.test');
  });

  it.each([['false'], [undefined], [null], [0], [1], [{}]])(
    'that return %j from skip, which is not a boolean, count the request, and warn once',
    async (answer) => {
      const skip = (context: ExecutionContext): never => untyped(answerWith(context, answer, false));
      const places: [where: string, own: RateLimitOptions, module: RateLimitModuleOptions][] = [
        ['@RateLimit on ProbeController.probe', { skip }, {}],
        ['RateLimitModule', {}, { skip }],
      ];
      for (const [where, own, module] of places) {
        const app = await startWith(start, own, module);
        const replies = [await app.get('/?fail=now'), await app.get('/?fail=later'), await app.get('/')];
        expect(replies.map(({ remaining }) => remaining)).toEqual(
          [99, 98, 97].map((left) => `"default";r=${left}`),
        );
        expect(app.log.entries).toHaveLength(1);
        expect(app.log.warnings).toEqual([
          expect.stringMatching(
            `^${where}: the function "skip" must return a boolean, so the request counts; got `,
          ),
        ]);
      }
    },
  );

  const refusals: Record<string, [make: () => unknown, status: number, warning: string | undefined]> = {
    'an error later': [async () => Promise.resolve(new HttpException('Later.', 420)), 420, undefined],
    nothing: [() => undefined, 429, 'undefined'],
    'nothing later': [async () => Promise.resolve(undefined), 429, 'undefined'],
    'an object': [() => ({}), 429, 'an object (Object)'],
    'a text later': [async () => Promise.resolve('too fast'), 429, 'the string "too fast"'],
  };

  it.each(Object.entries(refusals))('that make %s of a refusal', async (_what, [make, status, got]) => {
    const app = await startWith(start, { cost: 101 }, { errorFactory: make as never });
    const replies = [await app.get('/'), await app.get('/')];
    expect(replies.map((reply) => reply.status)).toEqual([status, status]);
    expect(replies[1]?.fields['retry-after']).toBe(undefined);
    if (status === 429)
      expect(replies[0]?.body).toMatchObject({ statusCode: 429, error: 'Too Many Requests' });
    expect(app.log.entries.map(({ message }) => message)).toEqual(
      got === undefined
        ? []
        : [
            `RateLimitModule: the function "errorFactory" must return an Error, so the default one is thrown; got ${got}.`,
          ],
    );
  });

  it.each<[string, () => unknown, number]>([
    ['throw an error', thrower(new Error('no words')), 500],
    ['reject', async () => Promise.reject(new Error('no words')), 500],
    ['throw an HttpException', thrower(new HttpException('No.', 420)), 420],
    ['throw a text', thrower('no words'), 429],
    ['reject with a text', async () => Promise.resolve().then(thrower('no words')), 429],
  ])('that %s instead of returning an error do not fail the refusal', async (_how, make, status) => {
    const app = await startWith(start, { cost: 101 }, { errorFactory: make as never });
    expect(await app.statuses(2, '/')).toEqual([status, status]);
  });

  it('can return the message of a refusal asynchronously', async () => {
    const errorMessage = async (): Promise<string> => Promise.resolve('Later.');
    const own = await startWith(start, { cost: 101, errorMessage });
    const module = await startWith(start, { cost: 101 }, { errorMessage });
    for (const app of [own, module]) expect((await app.get('/')).body).toMatchObject({ message: 'Later.' });
    const failing = await startWith(start, {
      cost: 101,
      errorMessage: async () => Promise.reject(new Error('no')),
    });
    expect((await failing.get('/')).status).toBe(500);
  });

  it('can return asynchronously whether a request counts', async () => {
    const count = async (_context: ExecutionContext, { success }: RequestOutcome): Promise<boolean> =>
      Promise.resolve(!success);
    const app = await startWith(start, { count });
    for (const left of [99, 99]) {
      expect((await app.get('/')).remaining).toBe(`"default";r=${left}`);
      await immediate();
    }
    const failing = await startWith(start, { count: async () => Promise.reject(new Error('no account')) });
    expect((await failing.get('/')).remaining).toBe('"default";r=99');
    expect((await failing.get('/')).remaining).toBe('"default";r=98');
    expect(failing.log.warnings).toEqual([
      '@RateLimit on ProbeController.probe: the function "count" failed, so the request counts its cost: no account',
    ]);
  });

  it('can return any thenable', async () => {
    const thenable = {
      then(resolve: (value: string) => void) {
        resolve('someone');
      },
    };
    const rejecting = {
      then(_resolve: unknown, reject: (reason: unknown) => void) {
        reject(new Error('lost connection'));
      },
    };
    const key = (context: ExecutionContext): never =>
      untyped('fail' in query(context) ? rejecting : thenable);
    await expectFailure(
      await startWith(start, { key }),
      '@RateLimit on ProbeController.probe: the function "key" failed: lost connection',
    );
  });

  it('are called for skip first, and not called for a policy that is skipped', async () => {
    const calls: string[] = [];
    const answer =
      <T>(name: string, value: T) =>
      (): T => {
        calls.push(name);
        return value;
      };
    @Controller()
    class OrderController {
      @Get('counted')
      @RateLimit('9/minute', {
        skip: answer('skip', false),
        key: answer('key', 'x'),
        cost: answer('cost', 1),
      })
      counted() {
        return '';
      }

      @Get('skipped')
      @RateLimit('9/minute', { skip: answer('skip', true), key: answer('key', 'x'), cost: answer('cost', 1) })
      skipped() {
        return '';
      }
    }
    const app = await start(limited([OrderController], { skip: answer('module', false) }));
    await app.get('/counted');
    expect(calls.splice(0)).toEqual(['module', 'skip', 'key', 'cost']);
    await app.get('/skipped');
    expect(calls).toEqual(['module', 'skip']);
  });
});
