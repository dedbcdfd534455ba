import { expect, it } from '@jest/globals';
import {
  Injectable,
  Module,
  UnauthorizedException,
  UseGuards,
  UseInterceptors,
  type CanActivate,
  type ExecutionContext,
  type MiddlewareConsumer,
  type NestModule,
  type Type,
} from '@nestjs/common';
import { APP_INTERCEPTOR } from '@nestjs/core';
import {
  Args,
  createUnionType,
  Field,
  GqlExecutionContext,
  GraphQLSchemaHost,
  Int,
  Mutation,
  ObjectType,
  Parent,
  Query,
  ResolveField,
  Resolver,
  Subscription,
} from '@nestjs/graphql';
import { parse, subscribe } from 'graphql';
import { createClient } from 'graphql-ws';
import {
  applyRateLimits,
  RateLimit,
  RateLimiterService,
  RateLimitGuard,
  RateLimitInfo,
  RateLimitInterceptor,
  RateLimitMiddleware,
  requestOf,
  SkipRateLimit,
  type Decision,
} from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { of } from 'rxjs';
import { WebSocket } from 'ws';
import { describeOverGraphql, outcomeOf, type GraphqlApp, type Result } from '../support/graphql-app.js';

const REFUSED = 'TOO_MANY_REQUESTS';

const aliases = (count: number, field: string): string =>
  `{ ${Array.from({ length: count }, (_, index) => `f${index}: ${field}`).join(' ')} }`;

const answered = ({ data }: Result): number =>
  Object.values(data ?? {}).filter((value) => value !== null).length;

@Resolver()
class GreetingResolver {
  @Query(() => String, { nullable: true })
  @RateLimit('3/minute')
  hello() {
    return 'Hello';
  }

  @Query(() => String, { nullable: true })
  free() {
    return 'free';
  }

  @Mutation(() => String, { nullable: true, name: 'sendGreeting' })
  @RateLimit('2/minute')
  send() {
    return 'sent';
  }
}

describeOverGraphql('A limited field', (start) => {
  it('is refused with an error that has the limit and the wait', async () => {
    const app = await start([GreetingResolver]);
    expect(await app.outcomes(3, '{ hello }')).toEqual(['Hello', 'Hello', 'Hello']);

    const { data, errors = [] } = await app.ask('{ hello }');
    expect(data).toEqual({ hello: null });
    expect(errors).toHaveLength(1);
    expect(errors[0]).toMatchObject({
      message: 'Rate limit "default" exceeded: 3 per minute. Try again in 60 s.',
      path: ['hello'],
    });
    const { code, statusCode, limit, retryAfter } = errors[0]?.extensions ?? {};
    expect({ code, statusCode, limit, retryAfter }).toEqual({
      code: REFUSED,
      statusCode: 429,
      limit: { name: 'default', amount: 3, period: 60, remaining: 0 },
      retryAfter: 60,
    });
    expect(app.http.log.errors).toEqual([]);
  });

  it('is allowed again after the wait of the error', async () => {
    const clock = new ManualClock();
    const app = await start([GreetingResolver], { clock });
    await app.outcomes(4, '{ hello }');
    clock.advance(59_999);
    expect(await app.outcomes(1, '{ hello }')).toEqual([REFUSED]);
    clock.advance(1);
    expect(await app.outcomes(1, '{ hello }')).toEqual(['Hello']);
  });

  it('does not affect the rest of its operation', async () => {
    const app = await start([GreetingResolver]);
    await app.outcomes(3, '{ hello }');
    const { data, errors } = await app.ask('{ free hello other: free }');
    expect(data).toEqual({ free: 'free', hello: null, other: 'free' });
    expect(errors?.map(({ path }) => path)).toEqual([['hello']]);
  });

  it('is counted separately from other fields; queries and mutations alike', async () => {
    const app = await start([GreetingResolver]);
    expect(await app.outcomes(3, 'mutation { sendGreeting }')).toEqual(['sent', 'sent', REFUSED]);
    expect(await app.outcomes(4, '{ hello }')).toEqual(['Hello', 'Hello', 'Hello', REFUSED]);
    expect(await app.outcomes(10, '{ free }')).toEqual(new Array(10).fill('free'));
  });

  it('counts each alias: a thousand aliases are a thousand hits', async () => {
    @Resolver()
    class ManyResolver {
      @Query(() => String, { nullable: true })
      @RateLimit('600/minute')
      cheap() {
        return 'x';
      }
    }
    const app = await start([ManyResolver]);
    const result = await app.ask(aliases(1000, 'cheap'));
    expect(answered(result)).toBe(600);
    expect(result.errors).toHaveLength(400);
    expect(await app.outcomes(1, '{ cheap }')).toEqual([REFUSED]);
  });

  it('counts each alias of a mutation, in order', async () => {
    const app = await start([GreetingResolver]);
    const { data } = await app.ask('mutation { a: sendGreeting b: sendGreeting c: sendGreeting }');
    expect(data).toEqual({ a: 'sent', b: 'sent', c: null });
  });

  it('counts each operation of a batch', async () => {
    const app = await start([GreetingResolver]);
    const results = await app.askAll(new Array<string>(5).fill('{ hello }'));
    expect(results.map(answered).sort()).toEqual([0, 0, 1, 1, 1]);
  });

  it('is known to the service by its route', async () => {
    const app = await start([GreetingResolver]);
    await app.outcomes(2, '{ hello }');
    await app.outcomes(1, 'mutation { sendGreeting }');
    const limiter = app.http.nest.get(RateLimiterService);
    const peek = (route: string): number =>
      (limiter.peek({ policy: 'default', route }, '127.0.0.1') as Decision).remaining;
    expect(peek('graphql Query.hello')).toBe(1);
    expect(peek('graphql Mutation.sendGreeting')).toBe(1);
  });
});

describeOverGraphql('Limits of a class and of the module', (start) => {
  it('apply to all fields of a class together, and a field can replace or skip them', async () => {
    @Resolver()
    @RateLimit('2/minute')
    class ClassResolver {
      @Query(() => String, { nullable: true })
      one() {
        return '1';
      }

      @Query(() => String, { nullable: true })
      two() {
        return '2';
      }

      @Query(() => String, { nullable: true })
      @RateLimit('1/minute')
      own() {
        return 'own';
      }

      @Query(() => String, { nullable: true })
      @SkipRateLimit()
      none() {
        return 'none';
      }
    }
    const app = await start([ClassResolver]);
    expect(await app.outcomes(1, '{ one two }')).toEqual(['1,2']);
    expect(await app.outcomes(1, '{ one }')).toEqual([REFUSED]);
    expect(await app.outcomes(2, '{ own }')).toEqual(['own', REFUSED]);
    expect(await app.outcomes(9, '{ none }')).toEqual(new Array(9).fill('none'));
  });

  it('apply to all root fields together', async () => {
    const app = await start([GreetingResolver], { limits: { limits: '4/minute' } });
    expect(answered(await app.ask(aliases(6, 'free')))).toBe(4);
  });
});

describeOverGraphql('A guard that is bound several times', (start) => {
  it('counts once', async () => {
    @Resolver()
    @UseGuards(RateLimitGuard)
    class TwiceResolver {
      @Query(() => String, { nullable: true })
      @UseGuards(RateLimitGuard)
      @RateLimit('3/minute')
      twice() {
        return 'twice';
      }
    }
    const app = await start([TwiceResolver]);
    expect(await app.outcomes(4, '{ twice }')).toEqual(['twice', 'twice', 'twice', REFUSED]);
    expect(answered(await app.ask(aliases(3, 'twice')))).toBe(0);
  });
});

@Module({})
class MiddlewareModule implements NestModule {
  configure(consumer: MiddlewareConsumer) {
    consumer.apply(RateLimitMiddleware).forRoutes('*path');
  }
}

describeOverGraphql('A rule for the path of GraphQL', (start, server) => {
  const startWith = (path: string): Promise<GraphqlApp> =>
    start([GreetingResolver], {
      limits: { rules: [{ id: 'graphql', path, limits: '2/minute' }] },
      configure: applyRateLimits,
    });

  it('is evaded by no longer path if it ends with **', async () => {
    const app = await startWith('/graphql/**');
    const paths = ['', '/', '/x', '/x/y', '//', '/%78', '?a=b', '/../graphql', '/GRAPHQL'];
    let runs = 0;
    for (const path of paths) {
      const { data } = (await (await post(app.url + path, { query: '{ free }' })).json()) as Result;
      if (data?.['free'] === 'free') runs++;
    }
    expect(runs).toBeLessThanOrEqual(2);
    expect(app.http.log.warnings).toEqual([]);
  });

  it.each(['/graphql', '/GraphQL/', '/:any', '/*'])(
    'is warned about at the start if Express answers longer paths than %s',
    async (path) => {
      const app = await startWith(path);
      const example = path.startsWith('/G')
        ? path.replace(/\/$/, '')
        : path === '/graphql'
          ? path
          : undefined;
      const warning =
        `The rule "graphql" is for "${path}", where Express has a handler mounted: it answers longer paths too, such as "${example}/x", ` +
        `which the rule does not limit. Write path: "${path.replace(/\/$/, '')}/**".`;
      const isWarned = server === 'Apollo on express' && example !== undefined;
      expect(app.http.log.warnings).toEqual(isWarned ? [warning] : []);
    },
  );

  it.each(['/%', '/%E0%A4%A', '/{graphql,other}', '/**'])('starts with the path %s', async (path) => {
    const app = await startWith(path);
    expect(app.http.log.warnings).toEqual([]);
  });

  it('refuses with 429 on every server', async () => {
    const app = await startWith('/graphql/**');
    const statuses: number[] = [];
    for (let request = 0; request < 3; request++)
      statuses.push((await post(app.url, { query: '{ __typename }' })).status);
    expect(statuses).toEqual([200, 200, 429]);
  });

  it('is warned about when it is set later', async () => {
    const app = await startWith('/graphql/**');
    await app.http.nest
      .get(RateLimiterService)
      .setRules([{ id: 'new', path: '/graphql', limits: '2/minute' }]);
    expect(app.http.log.warnings).toEqual(
      server === 'Apollo on express' ? [expect.stringContaining('The rule "new" is for "/graphql"')] : [],
    );
  });

  it('limits whole requests in the middleware, whatever their operations', async () => {
    const app = await start([GreetingResolver], {
      limits: { rules: [{ id: 'graphql', path: '/graphql/**', limits: '2/minute' }] },
      module: { imports: [MiddlewareModule] },
    });
    expect(await app.outcomes(1, '{ free }')).toEqual(['free']);
    expect(await app.ask('{ nonsense')).toHaveProperty('errors');
    expect(await app.ask('{ free }')).toMatchObject({ statusCode: 429, limit: { name: 'graphql' } });
  });
});

@Injectable()
class UserGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const { req } = context.getArgByIndex<{ req: { headers: Record<string, string>; user?: object } }>(2);
    req.user = { id: req.headers['x-user'] };
    return true;
  }
}

describeOverGraphql('The identity', (start) => {
  it('is the address of the client', async () => {
    const app = await start([GreetingResolver], { trustProxy: true });
    const from = (address: string): Promise<unknown[]> =>
      app.outcomes(4, '{ hello }', { 'x-forwarded-for': address });
    expect(await from('198.51.100.1')).toEqual(['Hello', 'Hello', 'Hello', REFUSED]);
    expect(await from('198.51.100.2')).toEqual(['Hello', 'Hello', 'Hello', REFUSED]);
  });

  it('is never read from a header that the adapter does not trust', async () => {
    const app = await start([GreetingResolver]);
    for (const address of ['198.51.100.1', '198.51.100.2', '198.51.100.3'])
      expect(await app.outcomes(1, '{ hello }', { 'x-forwarded-for': address })).toEqual(['Hello']);
    expect(await app.outcomes(1, '{ hello }', { 'x-forwarded-for': '198.51.100.4' })).toEqual([REFUSED]);
  });

  it('can be a header, a user set by a guard, or the result of a function of the arguments', async () => {
    @Resolver()
    class IdentifiedResolver {
      @Query(() => String, { nullable: true })
      @RateLimit('1/minute', { key: 'header:x-tenant' })
      byHeader() {
        return 'header';
      }

      @Query(() => String, { nullable: true })
      @UseGuards(UserGuard, RateLimitGuard)
      @RateLimit('1/minute', { key: 'user', phase: 'afterAuth' })
      byUser() {
        return 'user';
      }

      @Query(() => String, { nullable: true })
      @RateLimit('1/minute', { key: (context) => context.getArgByIndex<{ id: string }>(1).id })
      byArgument(@Args('id') id: string) {
        return id;
      }
    }
    const app = await start([IdentifiedResolver]);
    for (const tenant of ['a', 'b'])
      expect(await app.outcomes(2, '{ byHeader }', { 'x-tenant': tenant })).toEqual(['header', REFUSED]);
    for (const user of ['a', 'b'])
      expect(await app.outcomes(2, '{ byUser }', { 'x-user': user })).toEqual(['user', REFUSED]);
    const { data } = await app.ask(
      '{ a: byArgument(id: "a") b: byArgument(id: "b") c: byArgument(id: "a") }',
    );
    expect(Object.values(data ?? {}).sort()).toEqual(['a', 'b', null]);
  });
});

describeOverGraphql('A denied client', (start) => {
  const requests: readonly [string, (url: string) => Promise<Response>][] = [
    ['a field', (url) => post(url, { query: '{ free }' })],
    ['an introspection', (url) => post(url, { query: '{ __schema { types { name } } }' })],
    ['the name of the root type', (url) => post(url, { query: '{ __typename }' })],
    ['an invalid operation', (url) => post(url, { query: '{ nonsense' })],
    ['a batch', (url) => post(url, [{ query: '{ __typename }' }, { query: '{ free }' }])],
    ['a GET request', (url) => fetch(`${url}?query={__typename}`)],
    ['a path below the endpoint', (url) => post(`${url}/x`, { query: '{ __typename }' })],
  ];

  it.each(requests)('is refused with 403 for %s', async (_kind, send) => {
    const app = await start([GreetingResolver], { limits: { deny: ['127.0.0.0/8'] } });
    const response = await send(app.url);
    expect(response.status).toBe(403);
    expect(await response.text()).toContain('Forbidden');
    expect(app.http.log.entries).toEqual([]);
  });

  it('is refused by a function that resolves addresses, which is called once for a request', async () => {
    let calls = 0;
    const clientIp = (context: ExecutionContext): Promise<string> => {
      calls++;
      return Promise.resolve(requestOf(context)?.headers?.['x-client'] as string);
    };
    const app = await start([GreetingResolver], { limits: { deny: ['192.0.2.0/24'], clientIp } });
    const status = async (address: string): Promise<number> =>
      (await post(app.url, { query: '{ __typename }' }, { 'x-client': address })).status;
    expect([await status('192.0.2.1'), await status('198.51.100.1')]).toEqual([403, 200]);
    expect(calls).toBe(2);
    expect(await app.outcomes(1, '{ free }', { 'x-client': '192.0.2.1' })).toHaveLength(1);
    expect(calls).toBe(3);
  });

  it('is not refused before the guards without the guard of the module, or where HTTP is not limited', async () => {
    const deny = ['127.0.0.0/8'];
    for (const limits of [
      { deny, guard: false },
      { deny, transports: ['graphql'] },
    ]) {
      const app = await start([GreetingResolver], { limits });
      expect((await post(app.url, { query: '{ __typename }' })).status).toBe(200);
    }
  });
});

const post = (url: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });

describeOverGraphql('@RateLimitInfo()', (start) => {
  it('gives each field its own decision', async () => {
    @Resolver()
    class QuotaResolver {
      @Query(() => Int, { nullable: true })
      @RateLimit('5/minute')
      quota(@RateLimitInfo() decision?: Decision) {
        return decision?.remaining;
      }

      @Query(() => Int, { nullable: true })
      unlimited(@RateLimitInfo() decision?: Decision) {
        return decision?.remaining;
      }
    }
    const app = await start([QuotaResolver]);
    const { data } = await app.ask('{ a: quota unlimited b: quota }');
    expect(data).toEqual({ a: 4, unlimited: null, b: 3 });
  });
});

@Resolver()
@UseInterceptors(RateLimitInterceptor)
class LoginResolver {
  @Query(() => Boolean)
  isUp() {
    return true;
  }

  @Mutation(() => Boolean, { nullable: true })
  @RateLimit('2/minute', { count: 'failure' })
  login(@Args('password') password: string) {
    if (password !== 'right') throw new Error('wrong password');
    return true;
  }
}

describeOverGraphql('Counting by outcome', (start) => {
  const login = (password: string): string => `mutation { login(password: "${password}") }`;

  it('refunds successes', async () => {
    const app = await start([LoginResolver]);
    expect(await app.outcomes(5, login('right'))).toEqual(new Array(5).fill('true'));
    for (let attempt = 0; attempt < 2; attempt++)
      expect((await app.ask(login('wrong'))).errors).toMatchObject([{ message: 'wrong password' }]);
    expect(await app.outcomes(1, login('right'))).toEqual([REFUSED]);
  });

  it('refunds once, even if the interceptor is bound twice', async () => {
    const app = await start([LoginResolver], {
      module: { providers: [{ provide: APP_INTERCEPTOR, useClass: RateLimitInterceptor }] },
    });
    await app.ask(login('wrong'));
    await app.outcomes(3, login('right'));
    await app.ask(login('wrong'));
    expect(await app.outcomes(1, login('right'))).toEqual([REFUSED]);
  });
});

class Denied extends Error {}

@ObjectType()
class Token {
  @Field(() => String)
  token = '';
}

@ObjectType()
class WrongPassword {
  @Field(() => String)
  reason = '';
}

const LoginResult = createUnionType({
  name: 'LoginResult',
  types: () => [Token, WrongPassword] as const,
  resolveType: (value: object) => ('token' in value ? Token : WrongPassword),
});

/** Each field ends in the way that its name says. */
@Resolver()
@UseInterceptors(RateLimitInterceptor)
@RateLimit('3/minute', { count: 'failure', scope: 'route' })
class EndingsResolver {
  runs = 0;

  @Query(() => String, { nullable: true })
  returnedError(): unknown {
    return this.#end(new Denied('no'));
  }

  @Query(() => String, { nullable: true })
  returnedException(): unknown {
    return this.#end(new UnauthorizedException());
  }

  @Query(() => String, { nullable: true })
  async promisedError(): Promise<unknown> {
    return Promise.resolve(this.#end(new Denied('no')));
  }

  @Query(() => String, { nullable: true })
  observedError(): unknown {
    return of('pending', this.#end(new Denied('no')));
  }

  @Query(() => LoginResult, { nullable: true })
  errorForUnion(): unknown {
    return this.#end(Object.assign(new Denied('no'), { token: 'x' }));
  }

  @Query(() => [String], { nullable: 'itemsAndList' })
  errorInList(): unknown {
    return this.#end(['a', new Denied('no'), 'b']);
  }

  @Query(() => [[String]], { nullable: true })
  errorInInnerList(): unknown {
    return this.#end([['a'], ['b', new Denied('no')]]);
  }

  @Query(() => [String], { nullable: 'itemsAndList' })
  errorInSet(): unknown {
    return this.#end(new Set(['a', new Denied('no')]));
  }

  @Query(() => [String], { nullable: 'itemsAndList' })
  promisedErrorInList(): unknown {
    return this.#end(['a', Promise.resolve(new Denied('no'))]);
  }

  @Query(() => [String], { nullable: 'itemsAndList' })
  rejectionInList(): unknown {
    return this.#end(['a', Promise.reject(new Denied('no'))]);
  }

  @Query(() => String)
  nullForNonNull(): unknown {
    return this.#end(null);
  }

  @Query(() => [String], { nullable: true })
  nullInNonNullList(): unknown {
    return this.#end(['a', null]);
  }

  @Query(() => LoginResult, { nullable: true })
  errorAsData(): unknown {
    return this.#end({ reason: 'wrong password' });
  }

  @Query(() => LoginResult, { nullable: true })
  dataOfUnion(): unknown {
    return this.#end({ token: 'x' });
  }

  @Query(() => String, { nullable: true })
  nullable(): unknown {
    return this.#end(null);
  }

  @Query(() => [String], { nullable: 'itemsAndList' })
  list(): unknown {
    return this.#end(['a', null, Promise.resolve('b')]);
  }

  @Query(() => String, { nullable: true })
  observed(): unknown {
    return of(new Denied('not the last one'), this.#end('x'));
  }

  #end<T>(value: T): T {
    this.runs++;
    return value;
  }
}

describeOverGraphql('Counting failures', (start) => {
  const selections: Readonly<Record<string, string>> = {
    errorForUnion: ' { __typename }',
    errorAsData: ' { __typename }',
    dataOfUnion: ' { __typename }',
  };
  const failures = [
    'returnedError',
    'returnedException',
    'promisedError',
    'observedError',
    'errorForUnion',
    'errorInList',
    'errorInInnerList',
    'errorInSet',
    'promisedErrorInList',
    'rejectionInList',
    'nullForNonNull',
    'nullInNonNullList',
  ];
  const successes = ['errorAsData', 'dataOfUnion', 'nullable', 'list', 'observed'];

  it.each([
    ...failures.map((field) => [field, 3] as const),
    ...successes.map((field) => [field, 8] as const),
  ])('sees the end of a field as GraphQL.js does: of 8 calls of %s, %d run', async (field, runs) => {
    const app = await start([EndingsResolver]);
    for (let call = 0; call < 8; call++) {
      const { errors = [] } = await app.ask(`{ ${field}${selections[field] ?? ''} }`);
      expect(errors).toHaveLength(failures.includes(field) ? 1 : 0);
    }
    expect(app.http.nest.get(EndingsResolver).runs).toBe(runs);
  });

  it('gives the returned error to the functions of a limit', async () => {
    const seen: unknown[] = [];
    @Resolver()
    @UseInterceptors(RateLimitInterceptor)
    class SeenResolver {
      @Query(() => String, { nullable: true })
      @RateLimit('3/minute', {
        count: (_context, outcome) => {
          seen.push(outcome);
          return false;
        },
      })
      returned(): unknown {
        return new Denied('no');
      }
    }
    const app = await start([SeenResolver]);
    await app.ask('{ returned }');
    expect(seen).toEqual([{ success: false, error: new Denied('no') }]);
  });
});

/** Finds out the user of an operation as the documentation of Nest has it. */
@Injectable()
class DocumentedGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const { req } = GqlExecutionContext.create(context).getContext<{
      req: { user?: object; connectionParams?: { token: string }; headers?: Record<string, string> };
    }>();
    req.user = { id: req.connectionParams?.token ?? req.headers?.['x-user'] };
    return true;
  }
}

/** Knows the user, and keeps it where nothing else looks. */
@Injectable()
class HidingGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const operation = GqlExecutionContext.create(context).getContext<{ hidden?: object }>();
    operation.hidden = { id: 'x' };
    return true;
  }
}

describeOverGraphql('A subscription by a WebSocket', (start) => {
  const resolverWith = (guard: Type<CanActivate>): Type => {
    @Resolver()
    class NewsResolver {
      @Query(() => Boolean)
      isUp() {
        return true;
      }

      @Subscription(() => String)
      @UseGuards(guard, RateLimitGuard)
      @RateLimit('2/minute', { key: 'user', phase: 'afterAuth' })
      async *news() {
        yield await Promise.resolve({ news: 'first' });
      }
    }
    return NewsResolver;
  };
  const mercurius = {
    subscription: { context: (_socket: unknown, request: object) => ({ req: request }) },
  };
  /** Returns what a client gets that subscribes several times by one connection. */
  const subscribeAs = async (app: GraphqlApp, user: string, count: number): Promise<unknown[]> => {
    const client = createClient({
      url: app.url.replace('http', 'ws'),
      connectionParams: { token: user },
      webSocketImpl: class extends WebSocket {
        constructor(url: string, protocols: string[]) {
          super(url, protocols, { headers: { 'x-user': user } });
        }
      },
      retryAttempts: 0,
    });
    const outcomes: unknown[] = [];
    for (let subscription = 0; subscription < count; subscription++) {
      try {
        for await (const piece of client.iterate({ query: 'subscription { news }' }))
          outcomes.push(outcomeOf(piece as Result));
      } catch (errors) {
        outcomes.push((errors as Result['errors'])?.[0]?.message.split(':')[0]);
      }
    }
    await client.dispose();
    return outcomes;
  };
  const REFUSAL = 'Rate limit "default" exceeded';
  const once = (outcomes: unknown[]): unknown[] => outcomes.map((one) => (one === REFUSED ? REFUSAL : one));

  it('counts by the user that the documented guard sets', async () => {
    const app = await start([resolverWith(DocumentedGuard)], {
      apollo: { subscriptions: { 'graphql-ws': true } },
      mercurius,
    });
    for (const user of ['a', 'b', 'c'])
      expect(once(await subscribeAs(app, user, 3))).toEqual(['first', 'first', REFUSAL]);
    expect(app.http.log.warnings).toEqual([]);
  });

  it('counts by the user that is set when the connection begins', async () => {
    const { apollo } = {
      apollo: {
        subscriptions: {
          'graphql-ws': {
            onConnect: (connection: { connectionParams?: unknown; extra?: unknown }) => {
              const { token } = connection.connectionParams as { token: string };
              (connection.extra as { user?: object }).user = { id: token };
            },
          },
        },
      },
    };
    const app = await start([resolverWith(OpenGuard)], {
      apollo,
      mercurius: {
        subscription: {
          onConnect: ({ payload }: { payload: { token: string } }) => ({ user: { id: payload.token } }),
          context: (_socket: unknown, request: object) => ({ req: request }),
        },
      },
    });
    for (const user of ['a', 'b'])
      expect(once(await subscribeAs(app, user, 3))).toEqual(['first', 'first', REFUSAL]);
    expect(app.http.log.warnings).toEqual([]);
  });

  it('counts by address without a user, and says so once', async () => {
    const app = await start([resolverWith(HidingGuard)], {
      apollo: { subscriptions: { 'graphql-ws': true } },
      mercurius,
    });
    expect(once(await subscribeAs(app, 'a', 2))).toEqual(['first', 'first']);
    expect(once(await subscribeAs(app, 'b', 1))).toEqual([REFUSAL]);
    expect(app.http.log.warnings).toEqual([
      'The key "user" found no user of a subscription, so the address was counted instead. If a guard or "onConnect" knows the user, let ' +
        'it set "user" on the context of GraphQL, on its "req" or on "extra", see docs/graphql.md.',
    ]);
  });
});

@Injectable()
class OpenGuard implements CanActivate {
  canActivate(): boolean {
    return true;
  }
}

describeOverGraphql('A subscription', (start) => {
  it('is counted when it begins', async () => {
    @Resolver()
    class NewsResolver {
      @Query(() => Boolean)
      isUp() {
        return true;
      }

      @Subscription(() => String)
      @RateLimit('2/minute')
      async *news() {
        yield await Promise.resolve({ news: 'first' });
        yield { news: 'second' };
        yield { news: 'third' };
      }
    }
    const app = await start([NewsResolver]);
    const { schema } = app.http.nest.get(GraphQLSchemaHost);
    const begin = async (ip: string): Promise<unknown[]> => {
      const result = await subscribe({
        schema,
        document: parse('subscription { news }'),
        contextValue: { req: { extra: { request: { headers: {}, socket: { remoteAddress: ip } } } } },
      });
      if (!(Symbol.asyncIterator in result)) return [outcomeOf(result as Result)];
      const news: unknown[] = [];
      for await (const piece of result) news.push(outcomeOf(piece as Result));
      return news;
    };
    const all = ['first', 'second', 'third'];
    expect([await begin('192.0.2.1'), await begin('192.0.2.1'), await begin('192.0.2.1')]).toEqual([
      all,
      all,
      [REFUSED],
    ]);
    expect(await begin('192.0.2.2')).toEqual(all);
  });
});

@ObjectType()
class Book {
  @Field(() => String)
  title = '';
}

@Resolver(() => Book)
@RateLimit('3/minute')
class BookResolver {
  @Query(() => [Book], { nullable: true })
  books() {
    return [{ title: 'one' }, { title: 'two' }];
  }

  @ResolveField(() => String, { nullable: true })
  shout(@Parent() book: Book) {
    return book.title.toUpperCase();
  }
}

describeOverGraphql('A field resolver', (start) => {
  const query = '{ books { title shout } }';

  it('is not counted, since no guards run for it', async () => {
    const app = await start([BookResolver]);
    for (let operation = 0; operation < 3; operation++) {
      const { data, errors } = await app.ask(query);
      expect(errors).toBeUndefined();
      expect(data?.['books']).toEqual([
        { title: 'one', shout: 'ONE' },
        { title: 'two', shout: 'TWO' },
      ]);
    }
    expect(await app.outcomes(1, query)).toEqual([REFUSED]);
  });

  it('is counted where guards run for it', async () => {
    const app = await start([BookResolver], { graphql: { fieldResolverEnhancers: ['guards'] } });
    expect((await app.ask(query)).errors).toBeUndefined();
    expect(await app.outcomes(1, query)).toEqual([REFUSED]);
  });
});
