import { createHash } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  BadRequestException,
  createParamDecorator,
  ForbiddenException,
  UnauthorizedException,
  UseGuards,
  UseInterceptors,
  UsePipes,
  type ExecutionContext,
} from '@nestjs/common';
import {
  Args,
  createUnionType,
  Field,
  Int,
  Mutation,
  ObjectType,
  Parent,
  Query,
  ResolveField,
  Resolver,
  Subscription,
} from '@nestjs/graphql';
import { BREAK, GraphQLError, type ValidationRule } from 'graphql';
import { createClient } from 'graphql-ws';
import { RateLimit, RateLimitInterceptor, requestOf } from 'nestjs-limits';
import { WebSocket } from 'ws';
import {
  expectRuns,
  limited,
  LIMIT,
  refusingPipe,
  repeat,
  RunCounter,
  wantedRuns,
  type Attack,
} from '../support/attacks.js';
import { Attacker, frame, untilQuiet, watchProcess, type RawReply } from '../support/attacker.js';
import {
  describeOverGraphql,
  graphqlServers,
  startGraphqlApp,
  type GraphqlApp,
  type GraphqlAppOptions,
} from '../support/graphql-app.js';

const runs = new RunCounter(
  (context) => requestOf<{ socket: { remoteAddress: string } }>(context)?.socket?.remoteAddress,
);
const { Run } = runs;

@ObjectType()
class Account {
  @Field(() => String)
  name = 'a';
}

@ObjectType()
class Failure {
  @Field(() => String)
  reason = '';
}

const Outcome = createUnionType({
  name: 'Outcome',
  types: () => [Account, Failure] as const,
  resolveType: (value: object) => ('name' in value ? Account : Failure),
});

/** All fields of a client count together, however they are asked for. */
@Resolver(() => Account)
@RateLimit(limited, { name: 'all', scope: 'global' })
class TargetResolver {
  @Query(() => String, { nullable: true })
  guess(@Run() _run: unknown, @Args('a', { nullable: true }) a?: string) {
    return a ?? 'x';
  }

  @Query(() => Account, { nullable: true })
  account(@Run() _run: unknown) {
    return new Account();
  }

  @Query(() => [Account], { nullable: true })
  accounts(@Run() _run: unknown) {
    return [new Account()];
  }

  @Query(() => Outcome, { nullable: true })
  outcome(@Run() _run: unknown) {
    return new Account();
  }

  @Mutation(() => String, { nullable: true })
  change(@Run() _run: unknown) {
    return 'changed';
  }

  @Query(() => String, { nullable: true })
  @UseGuards(runs.throwingGuard(() => new ForbiddenException()))
  guarded() {
    return '';
  }

  @Query(() => String, { nullable: true })
  @UseGuards(runs.falseGuard)
  forbidden() {
    return '';
  }

  @Query(() => String, { nullable: true })
  @UseInterceptors(runs.refusingInterceptor(() => new UnauthorizedException()))
  intercepted() {
    return '';
  }

  @Query(() => String, { nullable: true })
  @UseInterceptors(runs.interceptor)
  @UsePipes(refusingPipe(() => new BadRequestException()))
  piped(@Args('a', { nullable: true }) a?: string) {
    return a;
  }

  @Subscription(() => String)
  async *news(@Run() _run: unknown) {
    yield await Promise.resolve({ news: 'first' });
  }
}

/** Its accounts have a field of their own, for which guards run. */
@Resolver(() => Failure)
class FieldResolver {
  @Query(() => [Failure])
  many() {
    return Array.from({ length: 10 }, () => new Failure());
  }

  @ResolveField(() => String, { nullable: true })
  @RateLimit(limited, { name: 'secret' })
  secret(@Run() _run: unknown, @Parent() _parent: Failure) {
    return 'secret';
  }
}

/** Only failures count. The password tells how a call ends. */
@Resolver()
@UseInterceptors(RateLimitInterceptor)
@RateLimit(limited, { name: 'login', count: 'failure', scope: 'controller' })
class LoginResolver {
  @Query(() => String, { nullable: true })
  login(@CountFailures() _run: unknown, @Args('how') how: string): unknown {
    return this.#end(how);
  }

  @Mutation(() => String, { nullable: true })
  signIn(@CountFailures() _run: unknown, @Args('how') how: string): unknown {
    return this.#end(how);
  }

  @Query(() => [String], { nullable: 'itemsAndList' })
  logins(@CountFailures() _run: unknown, @Args('how') how: string): unknown {
    return ['a', this.#end(how)];
  }

  @Query(() => String)
  strict(@CountFailures() _run: unknown, @Args('how') how: string): unknown {
    return how === 'right' ? 'welcome' : null;
  }

  #end(how: string): unknown {
    if (how === 'throw') throw new UnauthorizedException();
    if (how === 'reject') return Promise.reject(new UnauthorizedException());
    if (how === 'return') return new UnauthorizedException();
    if (how === 'promise') return Promise.resolve(new Error('wrong'));
    return 'welcome';
  }
}

/** Counts calls with a wrong password. */
function CountFailures(): ParameterDecorator {
  return createParamDecorator((_data: unknown, context: ExecutionContext) => {
    if (context.getArgByIndex<{ how: string }>(1).how !== 'right') runs.add(context);
  })();
}

@Resolver()
class CostResolver {
  @Query(() => String, { nullable: true })
  @RateLimit(limited, { cost: (context) => context.getArgByIndex<{ first: number }>(1).first })
  costly(@Run() _run: unknown, @Args('first', { type: () => Int }) first: number) {
    return String(first);
  }

  @Query(() => String, { nullable: true })
  @RateLimit(limited, { name: 'by-body', key: ['ip', 'body:user'] })
  @RateLimit(limited, { name: 'by-address' })
  byBody(@Run() _run: unknown, @Args('user', { nullable: true }) user?: string) {
    return user;
  }
}

const aliases = (count: number, field: string): string =>
  repeat(count, (index) => `f${index}: ${field}`).join(' ');

/** A client that sends GraphQL operations. */
class GraphqlAttacker extends Attacker {
  post(body: unknown, headers: Record<string, string> = {}, path = '/graphql'): Promise<RawReply> {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    return this.send({ path, headers: { 'content-type': 'application/json', ...headers }, body: text });
  }

  ask(query: string, headers: Record<string, string> = {}, path?: string): Promise<RawReply> {
    return this.post({ query }, headers, path);
  }

  get(query: string, more = '', headers: Record<string, string> = {}): Promise<RawReply> {
    const path = `/graphql?query=${encodeURIComponent(query)}${more}`;
    return this.send({ method: 'GET', path, headers: { 'apollo-require-preflight': 'yes', ...headers } });
  }

  async sequence(count: number, attempt: (index: number) => Promise<unknown>): Promise<void> {
    for (let index = 0; index < count; index++) await attempt(index);
  }

  flood(count: number, attempt: (index: number) => Promise<unknown>): Promise<unknown> {
    return Promise.all(repeat(count, attempt));
  }

  /** Runs operations by one WebSocket, all at once. */
  async subscribe(queries: readonly string[]): Promise<void> {
    const { address } = this;
    const client = createClient({
      url: `ws://127.0.0.1:${this.port}/graphql`,
      webSocketImpl: class extends WebSocket {
        constructor(url: string, protocols: string[]) {
          super(url, protocols, { localAddress: address });
        }
      },
      retryAttempts: 0,
      lazy: false,
      onNonLazyError: () => undefined,
    });
    await Promise.all(
      queries.map(async (query) => {
        try {
          const pieces = client.iterate({ query });
          while (!(await pieces.next()).done);
        } catch {
          // Refused.
        }
      }),
    );
    await client.dispose();
  }
}

type GraphqlAttack = Attack<GraphqlAttacker, string>;

/** Floods of one field by many forms of an operation. */
const operations: GraphqlAttack[] = [
  {
    name: 'one operation after the other',
    attempt: (client) => client.sequence(8, () => client.ask('{ guess }')),
  },
  { name: 'many operations at once', attempt: (client) => client.flood(30, () => client.ask('{ guess }')) },
  { name: '50 aliases', attempt: (client) => client.ask(`{ ${aliases(50, 'guess')} }`) },
  { name: '500 aliases', attempt: (client) => client.ask(`{ ${aliases(500, 'guess')} }`) },
  {
    name: 'aliases with arguments',
    attempt: (client) =>
      client.ask(`{ ${repeat(20, (index) => `f${index}: guess(a: "${index}")`).join(' ')} }`),
  },
  {
    name: 'aliases of several fields',
    attempt: (client) =>
      client.ask(
        `{ ${repeat(5, (index) => `a${index}: guess b${index}: account { name } c${index}: outcome { __typename }`).join(' ')} }`,
      ),
  },
  {
    name: 'the same field again without an alias',
    runs: 1,
    attempt: (client) => client.ask(`{ ${'guess '.repeat(50)} }`),
  },
  {
    name: 'aliases in a fragment',
    attempt: (client) => client.ask(`{ ...f } fragment f on Query { ${aliases(20, 'guess')} }`),
  },
  {
    name: 'aliases in many fragments',
    attempt: (client) =>
      client.ask(
        `{ ${repeat(20, (index) => `...f${index}`).join(' ')} } ${repeat(20, (index) => `fragment f${index} on Query { g${index}: guess }`).join(' ')}`,
      ),
  },
  {
    name: 'fragments in fragments',
    attempt: (client) =>
      client.ask(
        `{ ...f0 } ${repeat(20, (index) => `fragment f${index} on Query { g${index}: guess ${index < 19 ? `...f${index + 1}` : ''} }`).join(' ')}`,
      ),
  },
  {
    name: 'a fragment spread many times',
    runs: 1,
    attempt: (client) => client.ask(`{ ${'...f '.repeat(50)} } fragment f on Query { guess }`),
  },
  {
    name: 'inline fragments',
    attempt: (client) =>
      client.ask(`{ ${repeat(20, (index) => `... on Query { f${index}: guess }`).join(' ')} }`),
  },
  {
    name: 'inline fragments without a type',
    attempt: (client) => client.ask(`{ ${repeat(20, (index) => `... { f${index}: guess }`).join(' ')} }`),
  },
  {
    name: 'a cycle of fragments',
    runs: 0,
    attempt: (client) =>
      client.flood(9, () =>
        client.ask('{ ...a } fragment a on Query { guess ...b } fragment b on Query { ...a }'),
      ),
  },
  {
    name: 'directives',
    attempt: (client) =>
      client.flood(9, (index) =>
        client.post({
          query: `query q($v: Boolean!) { f${index}: guess @include(if: $v) @skip(if: false) }`,
          variables: { v: true },
        }),
      ),
  },
  {
    name: 'another text of each operation',
    attempt: (client) => client.flood(9, (index) => client.ask(`#${index}\n{${' '.repeat(index)}guess,}`)),
  },
  {
    name: 'another name of each operation',
    attempt: (client) =>
      client.flood(9, (index) =>
        client.post({ query: `query q${index} { guess }`, operationName: `q${index}` }),
      ),
  },
  {
    name: 'several operations in one text',
    attempt: (client) =>
      client.flood(9, (index) =>
        client.post({
          query: repeat(9, (other) => `query q${other} { guess }`).join(' '),
          operationName: `q${index}`,
        }),
      ),
  },
  {
    name: 'several operations without a name',
    runs: 0,
    attempt: (client) => client.flood(9, () => client.ask('query a { guess } query b { guess }')),
  },
  {
    name: 'other variables',
    attempt: (client) =>
      client.flood(9, (index) =>
        client.post({ query: 'query q($a: String) { guess(a: $a) }', variables: { a: String(index) } }),
      ),
  },
  {
    name: 'escapes in arguments',
    attempt: (client) =>
      client.ask(
        `{ a: guess(a: "a") b: guess(a: "\\u0061") c: guess(a: """a""") d: guess(a: null) e: guess f: guess(a: "") }`,
      ),
  },
  {
    name: 'fields of unions',
    attempt: (client) =>
      client.ask(
        `{ ${repeat(9, (index) => `f${index}: outcome { ... on Account { name } ... on Failure { reason } }`).join(' ')} }`,
      ),
  },
  { name: 'lists', attempt: (client) => client.ask(`{ ${aliases(9, 'accounts { name name name }')} }`) },
  {
    name: 'a mutation with aliases',
    attempt: (client) => client.ask(`mutation { ${aliases(20, 'change')} }`),
  },
  {
    name: 'mutations and queries in turn',
    attempt: (client) =>
      client.sequence(9, (index) => client.ask(index % 2 ? 'mutation { change }' : '{ guess }')),
  },
  {
    name: 'an operation that is wrong in another place',
    runs: 0,
    attempt: (client) => client.flood(9, () => client.ask('{ guess nothing }')),
  },
  { name: 'a field resolver of many objects', attempt: (client) => client.ask('{ many { secret } }') },
  {
    name: 'a field resolver with aliases',
    attempt: (client) => client.ask(`{ many { ${aliases(5, 'secret')} } }`),
  },
  {
    name: 'introspection',
    runs: 0,
    attempt: (client) =>
      client.flood(9, () => client.ask('{ __schema { types { name fields { name } } } __typename }')),
  },
  {
    name: 'introspection with fields',
    attempt: (client) => client.ask(`{ __typename ${aliases(20, 'guess')} __schema { queryType { name } } }`),
  },
];

/** Batches, methods and encodings. */
const requests: GraphqlAttack[] = [
  { name: 'a batch', attempt: (client) => client.post(repeat(30, () => ({ query: '{ guess }' }))) },
  {
    name: 'a batch of aliases',
    attempt: (client) => client.post(repeat(5, () => ({ query: `{ ${aliases(10, 'guess')} }` }))),
  },
  {
    name: 'several batches at once',
    attempt: (client) => client.flood(5, () => client.post(repeat(5, () => ({ query: '{ guess }' })))),
  },
  {
    name: 'a batch with an error in it',
    attempt: (client) => client.post([{ query: '{ nothing' }, ...repeat(9, () => ({ query: '{ guess }' }))]),
  },
  { name: 'a batch of nothing', runs: 0, attempt: (client) => client.flood(5, () => client.post([])) },
  { name: 'a batch in a batch', runs: 0, attempt: (client) => client.post([[{ query: '{ guess }' }]]) },
  { name: 'GET', attempt: (client) => client.flood(9, () => client.get('{ guess }')) },
  {
    name: 'GET with other parameters',
    attempt: (client) => client.flood(9, (index) => client.get('{ guess }', `&v=${index}`)),
  },
  {
    name: 'GET and POST in turn',
    attempt: (client) =>
      client.sequence(9, (index) => (index % 2 ? client.get('{ guess }') : client.ask('{ guess }'))),
  },
  { name: 'GET with aliases', attempt: (client) => client.get(`{ ${aliases(20, 'guess')} }`) },
  {
    name: 'a mutation by GET',
    runs: 0,
    attempt: (client) => client.flood(9, () => client.get('mutation { change }')),
  },
  ...['PUT', 'PATCH', 'DELETE', 'OPTIONS', 'HEAD'].map((method): GraphqlAttack => ({
    name: method,
    runs: 0,
    attempt: (client) =>
      client.flood(9, () =>
        client.send({
          method,
          path: '/graphql',
          headers: { 'content-type': 'application/json' },
          body: method === 'HEAD' ? '' : '{"query":"{ guess }"}',
        }),
      ),
  })),
  {
    name: 'gzip',
    runs: (server) => (server.includes('express') ? LIMIT : 0),
    attempt: (client) =>
      client.flood(9, () =>
        client.send({
          path: '/graphql',
          headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' },
          body: gzipSync('{"query":"{ guess }"}'),
        }),
      ),
  },
  {
    name: 'chunks',
    attempt: (client) =>
      client.flood(9, () =>
        client.send({
          path: '/graphql',
          headers: { 'content-type': 'application/json', 'transfer-encoding': 'chunked' },
          body: '{"query":"{ guess }"}',
        }),
      ),
  },
  ...['application/json; charset=utf-8', 'APPLICATION/JSON', 'application/json;x=y'].map(
    (type): GraphqlAttack => ({
      name: `the type ${type}`,
      attempt: (client) =>
        client.flood(9, () => client.post({ query: '{ guess }' }, { 'content-type': type })),
    }),
  ),
  ...[
    'application/graphql',
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=b',
    'application/graphql+json',
    '',
  ].map((type): GraphqlAttack => ({
    name: `the type ${type || 'of nothing'}`,
    runs: -1,
    attempt: (client) =>
      client.flood(9, () =>
        client.post(
          type === 'application/x-www-form-urlencoded' ? 'query=%7Bguess%7D' : '{"query":"{ guess }"}',
          { 'content-type': type },
        ),
      ),
  })),
  {
    name: 'a multipart upload',
    runs: 0,
    attempt: (client) =>
      client.flood(9, () =>
        client.post(
          '--b\r\nContent-Disposition: form-data; name="operations"\r\n\r\n{"query":"{ guess }"}\r\n--b\r\nContent-Disposition: form-data; name="map"\r\n\r\n{}\r\n--b--\r\n',
          { 'content-type': 'multipart/form-data; boundary=b', 'apollo-require-preflight': 'yes' },
        ),
      ),
  },
  {
    name: 'a key twice in the body',
    attempt: (client) => client.flood(9, () => client.post('{"query":"{ nothing }","query":"{ guess }"}')),
  },
  {
    name: 'variables that name a prototype',
    runs: (server) => (server.includes('express') ? LIMIT : 0), // Fastify refuses the body
    attempt: (client) =>
      client.sequence(9, () =>
        client.post('{"query":"{ guess }","variables":{"constructor":{"prototype":{"polluted":1}}}}'),
      ),
  },
  {
    name: 'extensions',
    attempt: (client) =>
      client.flood(9, (index) => client.post({ query: '{ guess }', extensions: { v: index } })),
  },
  {
    name: 'a persisted query',
    runs: (server) => (server.startsWith('Apollo') ? LIMIT : 0),
    attempt: (client) => persisted(client, '{ guess }'),
  },
  {
    name: 'a persisted query by GET',
    runs: (server) => (server.startsWith('Apollo') ? LIMIT : 0),
    attempt: async (client) => {
      const hash = createHash('sha256').update('{ guess(a: "g") }').digest('hex');
      const more = `&extensions=${encodeURIComponent(JSON.stringify({ persistedQuery: { version: 1, sha256Hash: hash } }))}`;
      if (!(await isApollo(client))) return;
      await client.get('{ guess(a: "g") }', more);
      await client.flood(9, () =>
        client.send({
          method: 'GET',
          path: `/graphql?${more.slice(1)}`,
          headers: { 'apollo-require-preflight': 'yes' },
        }),
      );
    },
  },
  {
    name: 'a body that is cut off',
    runs: 0,
    attempt: (client) => client.flood(9, () => client.post('{"query":"{ guess }"')),
  },
  {
    name: 'hanging up after the request',
    attempt: (client) =>
      client.flood(9, async () => {
        const socket = await client.open();
        const body = '{"query":"{ guess }"}';
        socket.write(
          `POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
        );
        await setTimeout(30);
        socket.destroy();
      }),
  },
  {
    name: 'requests in a pipeline',
    attempt: async (client) => {
      const socket = await client.open();
      const body = '{"query":"{ guess }"}';
      socket.write(
        `POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`.repeat(
          9,
        ),
      );
      await untilQuiet(() => runs.from(client.address));
    },
  },
  ...['/graphql/', '/graphql?x=y', '/graphql?query={nothing}'].map((path): GraphqlAttack => ({
    name: `the path ${path}`,
    runs: (server) => (path === '/graphql/' && server.includes('fastify') ? 0 : LIMIT),
    attempt: (client) => client.flood(9, () => client.ask('{ guess }', {}, path)),
  })),
  ...['/GRAPHQL', '/graphql/x', '/%67raphql', '//graphql', '/./graphql', '/graphql%2f', '/graphql;x'].map(
    (path): GraphqlAttack => ({
      name: `the path ${path} beside the right one`,
      attempt: (client) =>
        client.flood(12, (index) => client.ask('{ guess }', {}, index % 2 ? path : '/graphql')),
    }),
  ),
  ...[
    'x-forwarded-for',
    'x-real-ip',
    'forwarded',
    'cf-connecting-ip',
    'true-client-ip',
    'x-client-ip',
    'x-originating-ip',
    'fly-client-ip',
  ].map((header): GraphqlAttack => ({
    name: `the header ${header}`,
    attempt: (client) =>
      client.flood(9, (index) =>
        client.ask('{ guess }', {
          [header]: header === 'forwarded' ? `for=192.0.2.${index}` : `192.0.2.${index}`,
        }),
      ),
  })),
  ...[
    'user-agent',
    'cookie',
    'authorization',
    'x-api-key',
    'host',
    'origin',
    'apollographql-client-name',
    'x-request-id',
  ].map((header): GraphqlAttack => ({
    name: `another ${header}`,
    attempt: (client) => client.flood(9, (index) => client.ask('{ guess }', { [header]: `v${index}` })),
  })),
];

/** What a later guard, interceptor or pipe refuses is counted too. */
const refusals: GraphqlAttack[] = ['guarded', 'forbidden', 'intercepted', 'piped'].flatMap(
  (field): GraphqlAttack[] => [
    {
      name: `calls that a later one refuses: ${field}`,
      attempt: (client) => client.sequence(8, () => client.ask(`{ ${field} }`)),
    },
    {
      name: `aliases that a later one refuses: ${field}`,
      attempt: (client) => client.ask(`{ ${aliases(20, field)} }`),
    },
  ],
);

/** Guesses at a password, where only failures count. */
const guesses: GraphqlAttack[] = [
  ...['throw', 'reject', 'return', 'promise'].flatMap((how): GraphqlAttack[] => [
    {
      name: `guesses that end by ${how}, one after the other`,
      attempt: (client) => client.sequence(8, () => client.ask(`{ login(how: "${how}") }`)),
    },
    {
      name: `guesses that end by ${how}, at once`,
      attempt: (client) => client.flood(20, () => client.ask(`{ login(how: "${how}") }`)),
    },
    {
      name: `guesses that end by ${how}, by aliases`,
      attempt: (client) => client.ask(`{ ${aliases(20, `login(how: "${how}")`)} }`),
    },
    {
      name: `guesses that end by ${how}, by a mutation`,
      attempt: (client) => client.ask(`mutation { ${aliases(20, `signIn(how: "${how}")`)} }`),
    },
    {
      name: `guesses that end by ${how}, by a batch`,
      attempt: (client) => client.post(repeat(20, () => ({ query: `{ login(how: "${how}") }` }))),
    },
    {
      name: `guesses that end by ${how}, between successes`,
      attempt: (client) =>
        client.sequence(20, (index) => client.ask(`{ login(how: "${index % 2 ? how : 'right'}") }`)),
    },
    {
      name: `guesses that end by ${how}, with successes in one operation`,
      attempt: (client) =>
        client.sequence(8, () =>
          client.ask(`mutation { a: signIn(how: "right") b: signIn(how: "${how}") c: signIn(how: "right") }`),
        ),
    },
  ]),
  ...['throw', 'return', 'promise', 'reject'].map((how): GraphqlAttack => ({
    name: `guesses in a list that end by ${how}`,
    attempt: (client) => client.sequence(8, () => client.ask(`{ logins(how: "${how}") }`)),
  })),
  {
    name: 'guesses that end by null where it is forbidden',
    attempt: (client) => client.sequence(8, () => client.ask('{ strict(how: "wrong") }')),
  },
  {
    name: 'guesses by several fields of one limit',
    attempt: (client) =>
      client.sequence(4, () =>
        client.ask('{ a: login(how: "throw") b: login(how: "return") c: logins(how: "promise") }'),
      ),
  },
  {
    name: 'guesses without the argument',
    runs: 0,
    attempt: (client) => client.sequence(8, () => client.ask('{ login }')),
  },
];

/** Costs and identities that the client has a say in. */
const inputs: GraphqlAttack[] = [
  {
    name: 'a negative cost',
    runs: 0,
    attempt: (client) => client.sequence(8, () => client.ask('{ costly(first: -5) }')),
  },
  {
    name: 'a negative cost between others',
    attempt: (client) =>
      client.sequence(16, (index) => client.ask(`{ costly(first: ${index % 2 ? 1 : -1}) }`)),
  },
  {
    name: 'a cost above the limit',
    runs: 0,
    attempt: (client) => client.sequence(8, () => client.ask('{ costly(first: 1000000) }')),
  },
  {
    name: 'a cost that takes all',
    runs: 1,
    attempt: (client) => client.sequence(8, () => client.ask(`{ costly(first: ${LIMIT}) }`)),
  },
  {
    name: 'another user of each call',
    attempt: (client) => client.sequence(8, (index) => client.ask(`{ byBody(user: "${index}") }`)),
  },
  {
    name: 'another user of each alias',
    attempt: (client) =>
      client.ask(`{ ${repeat(20, (index) => `f${index}: byBody(user: "${index}")`).join(' ')} }`),
  },
  {
    name: 'a user that is __proto__',
    attempt: (client) => client.sequence(8, () => client.ask('{ byBody(user: "__proto__") }')),
  },
  {
    name: 'users with separators of keys',
    attempt: (client) =>
      client.sequence(8, (index) => client.ask(`{ byBody(user: "a/${'%{}\\n'.slice(0, index)}") }`)),
  },
  {
    name: 'a user of 10,000 characters',
    attempt: (client) =>
      client.sequence(8, (index) => client.ask(`{ byBody(user: "${String(index).repeat(10_000)}") }`)),
  },
  { name: 'no user', attempt: (client) => client.sequence(8, () => client.ask('{ byBody }')) },
];

/** Operations by a WebSocket. */
const sockets: GraphqlAttack[] = [
  {
    name: 'subscriptions by one connection',
    attempt: (client) => client.subscribe(repeat(9, () => 'subscription { news }')),
  },
  {
    name: 'subscriptions by many connections',
    attempt: (client) =>
      client.flood(6, () => client.subscribe(['subscription { news }', 'subscription { news }'])),
  },
  {
    name: 'subscriptions after reconnecting',
    attempt: (client) => client.sequence(6, () => client.subscribe(['subscription { news }'])),
  },
  {
    name: 'subscriptions with another text',
    attempt: (client) => client.subscribe(repeat(9, (index) => `subscription s${index} { f${index}: news }`)),
  },
  { name: 'queries by a connection', attempt: (client) => client.subscribe(repeat(9, () => '{ guess }')) },
  { name: 'aliases by a connection', attempt: (client) => client.subscribe([`{ ${aliases(20, 'guess')} }`]) },
  {
    name: 'mutations by a connection',
    attempt: (client) => client.subscribe([`mutation { ${aliases(20, 'change')} }`]),
  },
  {
    name: 'a connection and requests together',
    attempt: (client) =>
      Promise.all([
        client.subscribe(repeat(9, () => '{ guess }')),
        client.flood(9, () => client.ask('{ guess }')),
      ]),
  },
  {
    name: 'two fields of a subscription',
    runs: -1,
    attempt: (client) => client.subscribe(['subscription { a: news b: news }']),
  },
  {
    name: 'operations before the connection is acknowledged',
    runs: 0,
    attempt: (client) =>
      frames(
        client,
        repeat(5, (index) =>
          JSON.stringify({ id: String(index), type: 'subscribe', payload: { query: '{ guess }' } }),
        ),
      ),
  },
  {
    name: 'the same id again',
    attempt: (client) =>
      frames(client, [
        '{"type":"connection_init"}',
        ...repeat(9, () => '{"id":"1","type":"subscribe","payload":{"query":"{ guess }"}}'),
      ]),
    runs: -1,
  },
  {
    name: 'an operation that is completed at once',
    runs: -1,
    attempt: (client) =>
      frames(client, [
        '{"type":"connection_init"}',
        ...repeat(
          9,
          (index) => `{"id":"${index}","type":"subscribe","payload":{"query":"subscription { news }"}}`,
        ),
        ...repeat(9, (index) => `{"id":"${index}","type":"complete"}`),
      ]),
  },
  {
    name: 'frames that are no operations',
    runs: 0,
    attempt: (client) =>
      frames(client, [
        '{"type":"connection_init"}',
        'nonsense',
        '[]',
        'null',
        '{"type":"subscribe"}',
        '{"id":{},"type":"subscribe"}',
      ]),
  },
  {
    name: 'a second connection_init',
    runs: -1,
    attempt: (client) =>
      frames(client, [
        '{"type":"connection_init"}',
        '{"id":"1","type":"subscribe","payload":{"query":"{ guess }"}}',
        '{"type":"connection_init"}',
      ]),
  },
  {
    name: 'a connection that ends in the middle of a frame',
    runs: 0,
    attempt: async (client) => {
      const socket = await client.upgrade('/graphql', { 'Sec-WebSocket-Protocol': 'graphql-transport-ws' });
      socket.write(frame('{"type":"connection_init"}').subarray(0, 9));
      socket.destroy();
    },
  },
];

async function isApollo(client: GraphqlAttacker): Promise<boolean> {
  const extensions = { persistedQuery: { version: 1, sha256Hash: 'x' } };
  return (await client.post({ extensions })).text.includes('PersistedQueryNotFound');
}

async function persisted(client: GraphqlAttacker, query: string): Promise<void> {
  if (!(await isApollo(client))) return;
  const extensions = {
    persistedQuery: { version: 1, sha256Hash: createHash('sha256').update(query).digest('hex') },
  };
  await client.post({ query, extensions });
  await client.flood(9, () => client.post({ extensions }));
}

/** Sends frames by hand. */
async function frames(client: GraphqlAttacker, texts: readonly string[]): Promise<void> {
  const socket = await client.upgrade('/graphql', { 'Sec-WebSocket-Protocol': 'graphql-transport-ws' });
  for (const text of texts) {
    socket.write(frame(text));
    await setTimeout(2);
  }
  await untilQuiet(() => runs.from(client.address));
}

const attacks = [...operations, ...requests, ...refusals, ...guesses, ...inputs, ...sockets];

describe.each(graphqlServers)('A client of %s', (server) => {
  let app: GraphqlApp;
  let port: number;
  const watch = watchProcess();

  beforeAll(async () => {
    app = await startGraphqlApp(server, [TargetResolver, FieldResolver, LoginResolver, CostResolver], {
      graphql: { fieldResolverEnhancers: ['guards'] },
      apollo: { subscriptions: { 'graphql-ws': true }, introspection: true, csrfPrevention: false },
      mercurius: {
        subscription: {
          context: (_socket: unknown, request: object) => ({ req: request }),
          fullWsTransport: true,
        },
      },
    });
    port = Number(new URL(app.url).port);
  });

  afterAll(async () => {
    watch.stop();
    await app.http.close();
  });

  it.each(attacks.map((attack) => [attack.name, attack] as const))(
    'gets no more than its limit by %s',
    async (_name, attack) => {
      const client = new GraphqlAttacker(port);
      await attack.attempt(client);
      await untilQuiet(() => runs.from(client.address), 3);
      client.close();
      expectRuns(runs.from(client.address), wantedRuns(attack, server));
      expect(watch.failures).toEqual([]);
      const other = new GraphqlAttacker(port);
      expect((await other.ask('{ guess }')).text).toContain('"guess":"x"');
    },
  );
});

describeOverGraphql('An operation of 88 kB of aliases', (start) => {
  const operation = `{ ${aliases(6900, 'guess')} }`;
  const outcomes = async (options: GraphqlAppOptions): Promise<[number, number]> => {
    const app = await start([TargetResolver, FieldResolver, LoginResolver], {
      graphql: { fieldResolverEnhancers: ['guards'] },
      ...options,
    });
    const client = new GraphqlAttacker(Number(new URL(app.url).port));
    const { status } = await client.ask(operation);
    const counted = runs.from(client.address);
    expect((await client.ask('{ guess }')).text).toMatch(/"guess":(?:"x"|null)/);
    return [status, counted];
  };

  it('gets as many calls as its limit admits', async () => {
    expect(operation.length).toBeGreaterThan(88_000);
    expect((await outcomes({}))[1]).toBe(LIMIT);
  });

  it('is not executed with a limit of tokens', async () => {
    const parseOptions = { maxTokens: 1000 };
    expect(
      await outcomes({ apollo: { parseOptions }, mercurius: { graphql: { parseOptions } } as object }),
    ).toEqual([400, 0]);
  });

  it('is not executed with a rule that counts aliases', async () => {
    const maxAliases: ValidationRule = (context) => {
      let count = 0;
      return {
        Field({ alias }) {
          if (alias === undefined || ++count !== 16) return undefined;
          context.reportError(new GraphQLError('An operation may have 15 aliases.'));
          return BREAK;
        },
      };
    };
    const validationRules = [maxAliases];
    expect(await outcomes({ apollo: { validationRules }, mercurius: { validationRules } })).toEqual([400, 0]);
  });

  it('is not read with a limit of the size of bodies', async () => {
    expect(await outcomes({ bodyLimit: 20_000 })).toEqual([413, 0]);
  });
});
