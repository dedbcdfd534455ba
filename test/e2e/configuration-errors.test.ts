import { expect, it } from '@jest/globals';
import { Controller, Get, type ModuleMetadata, type Type } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  ConfigurationError,
  MemoryStorage,
  parse,
  RateLimit,
  RateLimitModule,
  type LimitInput,
  type RateLimitModuleAsyncOptions,
  type RateLimitModuleOptions,
  type RateLimitOptions,
} from 'nestjs-limits';
import { describeOverHttp } from '../support/http-app.js';

/** A value that only callers without types can pass. */
const untyped = (value: unknown): never => value as never;

function decorated(...limits: [limits: LimitInput, options?: RateLimitOptions][]): Type {
  @Controller()
  class UsersController {
    @Get()
    find() {
      return '';
    }
  }
  for (const one of limits) {
    const descriptor = Object.getOwnPropertyDescriptor(UsersController.prototype, 'find') ?? {};
    RateLimit(...one)(UsersController.prototype, 'find', descriptor);
  }
  return UsersController;
}

const withOptions = (options: RateLimitModuleOptions): ModuleMetadata => ({
  imports: [RateLimitModule.forRoot(options)],
  controllers: [decorated()],
});

const withDecorator = (...limits: [limits: LimitInput, options?: RateLimitOptions][]): ModuleMetadata => ({
  imports: [RateLimitModule.forRoot()],
  controllers: [decorated(...limits)],
});

const KNOWN_OPTIONS =
  'Known options: storage, strategy, timeZone, anchor, block, wait, limits, rules, settings, key, plan, clientIp, ipv6Prefix, user, apiKeyHeader, allow, deny, transports, refusedMessages, resilience, keyPrefix, headers, skip, errorMessage, errorFormat, errorFactory, onRefused.';
const STRATEGIES =
  'fixed-window, fixed-window-elastic-expiry, calendar-window, moving-window, sliding-window-counter, token-bucket';
const NOTATION =
  'Write "<amount> per [multiple] <unit>", for example "10/minute" or "5 per 2 hours", or "5 concurrent"; separate several with ";", "," or "|".';
const UNITS = 'a unit (millisecond, second, minute, hour, day, week, month, year)';
const NAME =
  'The name of a policy must begin with a letter and hold letters, digits, "_", "." and "-" only; got';
const SCOPE = 'The scope must be "route", "controller", "global" or another non-empty name; got';
const COST = 'The cost of a hit must be a whole number from 0; got';

describeOverHttp('A mistake', (start) => {
  /** Expects the start to fail with an error that has this message, or begins with it. */
  async function expectRefusal(metadata: ModuleMetadata, message: string): Promise<void> {
    const error = await start(metadata).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ConfigurationError);
    expect((error as Error).message).toBe(message);
  }

  it('such as invalid options of a decorator is reported with its location', () => {
    for (const options of [null, [], '10/minute'])
      expect(() => RateLimit('5/minute', untyped(options))).toThrow(ConfigurationError);
    expect(() => RateLimit('5/minute', untyped(null))).toThrow(
      'The options of @RateLimit must be an object; got null.',
    );
  });

  it.each<[string, [LimitInput, RateLimitOptions?], string]>([
    [
      'a malformed limit',
      ['5/minuet'],
      `Cannot read the rate limit "5/minuet": expected ${UNITS} at position 2. ${NOTATION}`,
    ],
    [
      'no limit',
      [''],
      `Cannot read the rate limit "": expected a whole number (the amount) at position 0. ${NOTATION}`,
    ],
    [
      'an empty list',
      [[]],
      'A limit must be a text such as "10/minute", a RateLimitItem or a list of them; got an empty list.',
    ],
    [
      'an unknown strategy',
      ['5/minute', { strategy: untyped('leaky-bucket') }],
      `The strategy of the limit "default" must be one of ${STRATEGIES}; got the string "leaky-bucket".`,
    ],
    [
      'a strategy that only objects know by nature',
      ['5/minute', { strategy: untyped('constructor') }],
      `The strategy of the limit "default" must be one of ${STRATEGIES}; got the string "constructor".`,
    ],
    [
      'the strategy of concurrent requests for a rate',
      ['5/minute', { strategy: untyped('concurrency') }],
      'The strategy "concurrency" is not for rates. Limit concurrent requests by the notation: "5 concurrent".',
    ],
    ...(['count', 'actualCost', 'block', 'burst'] as const).map(
      (option): [string, [LimitInput, RateLimitOptions], string] => [
        `${option} for concurrent requests alone`,
        [
          '5 concurrent',
          { [option]: { count: 'failure', actualCost: () => 1, block: '1 hour', burst: 2 }[option] },
        ],
        `The option "${option}" does not apply to concurrent requests, whose slots are held until the work is over. Remove it.`,
      ],
    ),
    [
      'a hold without concurrent requests',
      ['5/minute', { hold: '1 minute' }],
      'The option "hold" is for limits of concurrent requests, such as "5 concurrent".',
    ],
    [
      'a hold that is no length of time',
      ['5 concurrent', { hold: '0 seconds' }],
      'A length of time is written as "15 minutes" or "1 hour"; got the string "0 seconds".',
    ],
    [
      'two limits of concurrent requests',
      ['5 concurrent; 9 concurrent'],
      'The policy "default" has two limits of concurrent requests, which would share one count. Remove one, or give ' +
        'one of them another name: @RateLimit(limits, { name }).',
    ],
    ['a negative cost', ['5/minute', { cost: -1 }], `${COST} the number -1.`],
    ['a fractional cost', ['5/minute', { cost: 0.5 }], `${COST} the number 0.5.`],
    ['a cost in words', ['5/minute', { cost: untyped('2') }], `${COST} the string "2".`],
    [
      'a burst without a token bucket',
      ['5/minute', { burst: 10 }],
      'The burst of the limit "default" is for the strategy "token-bucket" only, not for "fixed-window".',
    ],
    [
      'a burst with two limits',
      ['5/minute; 10/hour', { strategy: 'token-bucket', burst: 10 }],
      'A burst needs a single limit. Declare each limit with its own burst and name.',
    ],
    [
      'a burst of nothing',
      ['5/minute', { strategy: 'token-bucket', burst: 0 }],
      'The burst of the limit "default" must be a whole number, at least 1; got the number 0.',
    ],
    [
      'two limits of one period',
      ['5/minute; 10/60 seconds'],
      'The policy "default" has two limits per minute with the strategy "fixed-window", which would ' +
        'share one count. Remove one, or give one of them another name: @RateLimit(limits, { name }).',
    ],
    [
      'a moving window that is too large',
      ['1000001/day', { strategy: 'moving-window' }],
      'The amount of the limit "default" is 1000001: a moving window remembers each hit and holds at most 1000000. ' +
        'Take "sliding-window-counter" or "token-bucket" for large amounts.',
    ],
    ['an empty name', ['5/minute', { name: '' }], `${NAME} the string "".`],
    ['a name that begins with a digit', ['5/minute', { name: '1st' }], `${NAME} the string "1st".`],
    ['a name with a quotation mark', ['5/minute', { name: 'a"b' }], `${NAME} the string "a\\"b".`],
    ['a name with a line break', ['5/minute', { name: 'a\n' }], `${NAME} the string "a\\n".`],
    [
      'a name with a letter that no header holds',
      ['5/minute', { name: 'größe' }],
      `${NAME} the string "größe".`,
    ],
    ['a name that is a prototype', ['5/minute', { name: '__proto__' }], `${NAME} the string "__proto__".`],
    [
      'a name that is a symbol',
      ['5/minute', { name: untyped(Symbol('name')) }],
      `${NAME} the symbol "Symbol(name)".`,
    ],
    ['a name that is null', ['5/minute', { name: untyped(null) }], `${NAME} null.`],
    ['an empty scope', ['5/minute', { scope: '' }], `${SCOPE} the string "".`],
    ['a scope that is a number', ['5/minute', { scope: untyped(1) }], `${SCOPE} the number 1.`],
    [
      'a key that names no identity',
      ['5/minute', { key: untyped('address') }],
      'there is no key the string "address". Known: ip, user, api-key, session, socket, header:<name>, body:<field>, or a function.',
    ],
    [
      'a key that is a number',
      ['5/minute', { key: untyped(1) }],
      'a key must be a name such as "user", a function, an IdentityResolver, a list of keys or firstOf(…); got the number 1.',
    ],
    [
      'a skip that is a boolean',
      ['5/minute', { skip: untyped(true) }],
      'The option "skip" must be a function; got the boolean true.',
    ],
    [
      'an unknown option',
      ['5/minute', untyped({ strategie: 'token-bucket' })],
      'A rate limit does not know the option "strategie". Known options: limits, name, strategy, timeZone, anchor, burst, hold, key, cost, actualCost, scope, skip, plans, block, wait, mode, phase, count, onError, errorMessage, onRefused.',
    ],
    [
      'an option named as objects have it by nature',
      ['5/minute', untyped({ toString: 1 })],
      'A rate limit does not know the option "toString". Known options: limits, name, strategy, timeZone, anchor, burst, hold, key, cost, actualCost, scope, skip, plans, block, wait, mode, phase, count, onError, errorMessage, onRefused.',
    ],
    [
      'a storage',
      ['5/minute', untyped({ storage: 'memory://' })],
      'A rate limit does not know the option "storage". The storage is an option of RateLimitModule.forRoot.',
    ],
  ])('in a decorator stops the start and reports where: %s', async (_mistake, declaration, message) => {
    await expectRefusal(withDecorator(declaration), `@RateLimit on UsersController.find: ${message}`);
  });

  it('in one of several decorators of a handler stops the start', async () => {
    const message =
      '@RateLimit on UsersController.find: The policy "default" has two limits per minute with the strategy "fixed-window", which would ' +
      'share one count. Remove one, or give one of them another name: @RateLimit(limits, { name }).';
    await expectRefusal(withDecorator(['5/minute'], ['10/minute']), message);
    await expectRefusal(
      withDecorator(['5/minute'], ['5/second', { cost: -1 }]),
      `@RateLimit on UsersController.find: ${COST} the number -1.`,
    );
  });

  it('in a decorator of a class, or of its base class, stops the start and names that class', async () => {
    @RateLimit('5/century')
    abstract class BaseController {}
    @Controller()
    @RateLimit('5/minute')
    class HeirController extends BaseController {
      @Get()
      find() {
        return '';
      }
    }
    await expectRefusal(
      { imports: [RateLimitModule.forRoot()], controllers: [HeirController] },
      `@RateLimit on BaseController: Cannot read the rate limit "5/century": expected ${UNITS} at position 2. ${NOTATION}`,
    );
  });

  it('in a limit that an inner level replaces also stops the start', async () => {
    await expectRefusal(
      { imports: [RateLimitModule.forRoot({ limits: '5/aeon' })], controllers: [decorated(['5/minute'])] },
      `RateLimitModule: Cannot read the rate limit "5/aeon": expected ${UNITS} at position 2. ${NOTATION}`,
    );
  });

  it.each<[string, RateLimitModuleOptions, string]>([
    [
      'a malformed limit',
      { limits: '5 minutes' },
      `RateLimitModule: Cannot read the rate limit "5 minutes": expected "/", "per" or "concurrent" at position 2. ${NOTATION}`,
    ],
    [
      'a malformed declaration',
      { limits: [{ limits: '5/minute' }, { name: 'day', limits: '0.5/day' }] },
      `RateLimitModule: Cannot read the rate limit "0.5/day": expected "/", "per" or "concurrent" at position 1. ${NOTATION}`,
    ],
    [
      'declarations of one period',
      { limits: [{ limits: '5/minute' }, { limits: parse('10/minute') }] },
      'RateLimitModule: The policy "default" has two limits per minute with the strategy "fixed-window", which would ' +
        'share one count. Remove one, or give one of them another name: @RateLimit(limits, { name }).',
    ],
    [
      'a declaration outside a list',
      { limits: untyped({ limits: '5/minute' }) },
      'The option "limits" of RateLimitModule takes an object of limits by plan, and "limits" is an option. Options go with ' +
        'them into a list of declarations: [{ limits: \'5/minute\', name }]; a plan of that name goes into the option "plans".',
    ],
    [
      'numbers in a list',
      { limits: untyped(['5/minute', 10]) },
      'RateLimitModule: A limit must be a text such as "10/minute", a RateLimitItem or a list of them; got the number 10.',
    ],
    [
      'no limits at all',
      { limits: untyped(null) },
      'RateLimitModule: A limit must be a text such as "10/minute", a RateLimitItem or a list of them; got null.',
    ],
    [
      'an unknown strategy',
      { strategy: untyped('gcra') },
      `The strategy of RateLimitModule must be one of ${STRATEGIES}; got the string "gcra".`,
    ],
    [
      'a strategy that only objects know by nature',
      { strategy: untyped('toString') },
      `The strategy of RateLimitModule must be one of ${STRATEGIES}; got the string "toString".`,
    ],
    [
      'an unknown option',
      untyped({ store: 'memory://' }),
      `RateLimitModule does not know the option "store". ${KNOWN_OPTIONS}`,
    ],
    [
      'an unknown header field',
      { headers: untyped({ draft: 8 }) },
      'The option "headers" of RateLimitModule does not know the option "draft". Known options: standard, legacy, retryAfter, graphql.',
    ],
    [
      'headers that are no object',
      { headers: untyped(true) },
      'The option "headers" of RateLimitModule must be an object; got the boolean true.',
    ],
    [
      'a key that names no identity',
      { key: untyped('address') },
      'RateLimitModule: there is no key the string "address". Known: ip, user, api-key, session, socket, header:<name>, body:<field>, or a function.',
    ],
    [
      'a skip that is a list',
      { skip: untyped([]) },
      'The option "skip" of RateLimitModule must be a function; got an array.',
    ],
    [
      'a message that is a number',
      { errorMessage: untyped(429) },
      'The option "errorMessage" of RateLimitModule must be a string or a function; got the number 429.',
    ],
    [
      'a factory of errors that is an object',
      { errorFactory: untyped({}) },
      'The option "errorFactory" of RateLimitModule must be a function; got an object (Object).',
    ],
    [
      'both a message and a factory of errors',
      { errorMessage: 'Too fast.', errorFactory: () => new Error('Too fast.') },
      'RateLimitModule takes errorFactory or errorMessage and errorFormat, not both: the factory makes the whole error.',
    ],
    [
      'both a format and a factory of errors',
      { errorFormat: 'problem', errorFactory: () => new Error('Too fast.') },
      'RateLimitModule takes errorFactory or errorMessage and errorFormat, not both: the factory makes the whole error.',
    ],
    [
      'an unknown format of errors',
      { errorFormat: untyped('xml') },
      'The option "errorFormat" of RateLimitModule must be one of "nest", "problem", "throttler"; got the string "xml".',
    ],
    [
      'rules that are no list',
      { rules: untyped({ id: 'all', path: '/**', limits: '5/minute' }) },
      'The option "rules" of RateLimitModule must be a list; got an object (Object).',
    ],
    [
      'a plan that is a name',
      { plan: untyped('pro') },
      'The option "plan" of RateLimitModule must be a function; got the string "pro".',
    ],
    [
      'an address instead of what finds it out',
      { clientIp: untyped('127.0.0.1') },
      'The option "clientIp" of RateLimitModule must be a function; got the string "127.0.0.1".',
    ],
    [
      'a user instead of what finds it out',
      { user: untyped('sub') },
      'The option "user" of RateLimitModule must be a function; got the string "sub".',
    ],
    [
      'a header that can be none',
      { apiKeyHeader: 'x api key' },
      'The option "apiKeyHeader" of RateLimitModule must be the name of a header; got the string "x api key".',
    ],
    [
      'networks that are no list',
      { deny: untyped('10.0.0.0/8') },
      'The option "deny" of RateLimitModule must be a list; got the string "10.0.0.0/8".',
    ],
    [
      'limits by plan that are all unlimited',
      { limits: [{ name: 'all', plans: { internal: 'unlimited' } }] },
      'RateLimitModule: Every one of the "plans" is unlimited. Give "limits" too, for requests without one of these plans.',
    ],
    [
      'a prefix of IPv6 that is too long',
      { ipv6Prefix: 129 },
      'The option "ipv6Prefix" of RateLimitModule must be a whole number from 32 to 128; got the number 129.',
    ],
    [
      'an allow list with something that is no network',
      { allow: ['10.0.0.0/33'] },
      'The option "allow" lists networks such as "10.0.0.0/8" or "2001:db8::/32"; got the string "10.0.0.0/33".',
    ],
    [
      'a keyPrefix with a given storage',
      { storage: new MemoryStorage(), keyPrefix: 'shop' },
      'The keyPrefix of RateLimitModule is for a storage given as a URI. Give yours to its constructor.',
    ],
    [
      'an unusable keyPrefix',
      { keyPrefix: 'my shop' },
      'The keyPrefix of a storage must be a non-empty string without white space, braces and control characters; got the string "my shop".',
    ],
    [
      'limits as a throttler',
      { limits: untyped({ ttl: 3_600_000, limit: 10 }) },
      'The option "limits" of RateLimitModule was given limits in the form of @nestjs/throttler. Write them as text: \'10/hour\'.',
    ],
    [
      'a storage that is none',
      { storage: untyped(new Map()) },
      'The storage of RateLimitModule must be a URI such as "memory://" or a Storage; got an object (Map). A client goes into a storage: new RedisStorage(client).',
    ],
    [
      'a storage class instead of a storage',
      { storage: untyped(MemoryStorage) },
      'The storage of RateLimitModule must be a URI such as "memory://" or a Storage; got a function (MemoryStorage). A client goes into a storage: new RedisStorage(client).',
    ],
    [
      'a storage that is null',
      { storage: untyped(null) },
      'The storage of RateLimitModule must be a URI such as "memory://" or a Storage; got null. A client goes into a storage: new RedisStorage(client).',
    ],
  ])('in the options of the module stops the start: %s', async (_mistake, options, message) => {
    await expectRefusal(withOptions(options), message);
  });

  it.each([
    ['mysql://admin:s3cret@db.example:5432/limits', 'has the unknown scheme "mysql://"'],
    ['constructor://admin:s3cret@db.example', 'has the unknown scheme "constructor://"'],
    ['admin:s3cret@db.example', 'has no scheme'],
    ['', 'has no scheme'],
  ])('in the URI of the storage stops the start and shows no credentials: %s', async (storage, mistake) => {
    const error = await start(withOptions({ storage })).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ConfigurationError);
    const { message, stack, cause } = error as ConfigurationError;
    expect(message).toMatch(new RegExp(`^The storage URI ${mistake}\\. Known schemes: memory://`));
    expect([message, stack, String(cause)].join(' ')).not.toMatch(/s3cret|admin|db\.example/);
  });

  it('of an undefined option is none, since undefined counts as absent', async () => {
    const nothing = untyped({
      storage: undefined,
      strategy: undefined,
      limits: undefined,
      key: undefined,
      keyPrefix: undefined,
      headers: undefined,
      skip: undefined,
      errorMessage: undefined,
      errorFactory: () => new Error('Too fast.'),
      isGlobal: undefined,
      guard: undefined,
    });
    const options: RateLimitOptions = untyped({
      name: undefined,
      strategy: undefined,
      burst: undefined,
      key: undefined,
      cost: undefined,
      scope: undefined,
      skip: undefined,
    });
    const app = await start({
      imports: [RateLimitModule.forRoot(nothing)],
      controllers: [decorated(['1/minute', options])],
    });
    expect((await app.get('/')).remaining).toBe('"default";r=0');
  });

  it('of a factory that returns undefined is none', async () => {
    const options: RateLimitModuleAsyncOptions = untyped({
      useClass: undefined,
      useExisting: undefined,
      useFactory: () => ({ limits: '1/minute' }),
    });
    const app = await start({ imports: [RateLimitModule.forRootAsync(options)], controllers: [decorated()] });
    expect(await app.statuses(2, '/')).toEqual([200, 429]);
  });

  it.each<[string, unknown, string]>([
    [
      'a storage beside the factory',
      { useFactory: () => ({}), storage: 'memory://' },
      'RateLimitModule.forRootAsync does not know the option "storage". Return it from the factory: forRootAsync({ useFactory: () => ({ … }) }).',
    ],
    [
      'limits beside the factory',
      { useFactory: () => ({}), limits: '5/minute' },
      'RateLimitModule.forRootAsync does not know the option "limits". Return it from the factory: forRootAsync({ useFactory: () => ({ … }) }).',
    ],
    [
      'an unknown option beside the factory',
      { useFactory: () => ({}), provide: 'x' },
      'RateLimitModule.forRootAsync does not know the option "provide". ' +
        'Known options: imports, inject, useFactory, useClass, useExisting, provideInjectionTokensFrom, isGlobal, guard.',
    ],
    [
      'no factory',
      { imports: [] },
      'RateLimitModule.forRootAsync needs exactly one of useFactory, useClass and useExisting; got none.',
    ],
    [
      'two factories',
      { useFactory: () => ({}), useClass: class Options {} },
      'RateLimitModule.forRootAsync needs exactly one of useFactory, useClass and useExisting; got useFactory and useClass.',
    ],
    [
      'a factory that is undefined',
      { useFactory: undefined },
      'RateLimitModule.forRootAsync needs exactly one of useFactory, useClass and useExisting; got none.',
    ],
    ['nothing', undefined, 'The argument of RateLimitModule.forRootAsync must be an object; got undefined.'],
  ])('in forRootAsync throws immediately: %s', (_mistake, options, message) => {
    const call = (): unknown => RateLimitModule.forRootAsync(options as RateLimitModuleAsyncOptions);
    expect(call).toThrow(ConfigurationError);
    expect(call).toThrow(new ConfigurationError(message));
  });

  it.each([
    [
      'guard',
      { guard: false },
      'RateLimitModule does not know the option "guard". It is given beside the factory: forRootAsync({ guard: false, useFactory }).',
    ],
    [
      'isGlobal',
      { isGlobal: false },
      'RateLimitModule does not know the option "isGlobal". It is given beside the factory: forRootAsync({ guard: false, useFactory }).',
    ],
    ['unknown', { unknown: 1 }, `RateLimitModule does not know the option "unknown". ${KNOWN_OPTIONS}`],
    ['nothing', undefined, 'The options of RateLimitModule must be an object; got undefined.'],
    ['null', null, 'The options of RateLimitModule must be an object; got null.'],
    ['a URI', 'memory://', 'The options of RateLimitModule must be an object; got the string "memory://".'],
  ])('in the result of the factory stops the start: %s', async (_mistake, options, message) => {
    for (const useFactory of [() => untyped(options), async () => Promise.resolve(untyped(options))]) {
      const metadata = {
        imports: [RateLimitModule.forRootAsync({ useFactory })],
        controllers: [decorated()],
      };
      await expectRefusal(metadata, message);
    }
  });
});

it.each([
  [{ limit: 5, ttl: 60_000 }, "'5/minute'"],
  [{ default: { limit: 5, ttl: 60_000 } }, "'5/minute'"],
  [
    { short: { limit: 1, ttl: 250 }, long: { limit: 100, ttl: 7_200_000 } },
    "'1 per 250 milliseconds; 100 per 2 hours'",
  ],
  [[{ limit: 5, ttl: 60_000 }], "'5/minute'"],
  [{ throttlers: [{ limit: 5, ttl: 60_000 }] }, "'5/minute'"],
  [{ limit: () => 5, ttl: 60_000 }, "'10/minute'"],
  [{ limit: 5, ttl: 0 }, "'10/minute'"],
])('@RateLimit names the text for limits in the form of @nestjs/throttler: %j', (limits, text) => {
  expect(() => RateLimit(limits as never)).toThrow(
    new ConfigurationError(
      `@RateLimit was given limits in the form of @nestjs/throttler. Write them as text: ${text}.`,
    ),
  );
});

it.each<[unknown, string]>([
  [[{ ttl: 60_000, limit: 10 }], "'10/minute'"],
  [{ ttl: 60_000, limit: 10 }, "'10/minute'"],
  [
    {
      throttlers: [
        { name: 'short', ttl: 1000, limit: 3 },
        { name: 'long', ttl: 90_000, limit: 100 },
      ],
      ignoreUserAgents: [],
    },
    "'3/second; 100 per 90 seconds'",
  ],
])('RateLimitModule names the text for options of ThrottlerModule: %j', async (options, text) => {
  const message =
    'RateLimitModule was given options in the form of @nestjs/throttler. ' +
    `Write the limits as text: forRoot({ limits: ${text} }).`;
  expect(() => RateLimitModule.forRoot(options as never)).toThrow(new ConfigurationError(message));
  const module = RateLimitModule.forRootAsync({ useFactory: () => options as never });
  await expect(Test.createTestingModule({ imports: [module] }).compile()).rejects.toThrow(message);
});
