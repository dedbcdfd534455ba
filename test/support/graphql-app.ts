import { afterEach, describe, jest } from '@jest/globals';
import type { DynamicModule, ModuleMetadata, Provider } from '@nestjs/common';
import { ApolloDriver, type ApolloDriverConfig } from '@nestjs/apollo';
import { GraphQLModule, type GqlModuleOptions } from '@nestjs/graphql';
import type { MercuriusDriverConfig } from '@nestjs/mercurius';
import { MemoryStorage, RateLimitModule, type RateLimitModuleOptions } from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { startHttpApp, type HttpApp, type HttpAppOptions, type Platform } from './http-app.js';

// Mercurius uses it for GraphiQL. It requires an ES module, which Jest cannot do on Node.js 20.
jest.mock('@fastify/static', () => () => undefined);
const { MercuriusDriver } = await import('@nestjs/mercurius');

/** The GraphQL servers of Nest, and their HTTP platforms. */
const servers = [
  ['Apollo on express', 'express', 'apollo'],
  ['Apollo on fastify', 'fastify', 'apollo'],
  ['Mercurius on fastify', 'fastify', 'mercurius'],
] as const;

/** The response of a GraphQL server to one operation. */
export interface Result {
  readonly data?: Readonly<Record<string, unknown>> | null;
  readonly errors?: readonly {
    readonly message: string;
    readonly path?: readonly (string | number)[];
    readonly extensions?: Readonly<Record<string, unknown>>;
  }[];
}

export interface GraphqlAppOptions extends HttpAppOptions {
  /** Options of the library's module. */
  limits?: RateLimitModuleOptions;
  clock?: ManualClock;
  /** Options of `GraphQLModule`. */
  graphql?: Pick<GqlModuleOptions, 'fieldResolverEnhancers'>;
  /** Options of each server. */
  apollo?: Partial<ApolloDriverConfig>;
  mercurius?: Partial<MercuriusDriverConfig>;
  /** More metadata of the application's module. */
  module?: ModuleMetadata;
}

/** Starts an application with resolvers. It is closed after the test. */
export type StartGraphqlApp = (resolvers: Provider[], options?: GraphqlAppOptions) => Promise<GraphqlApp>;

export type GraphqlServer = (typeof servers)[number][0];

/** The names of the servers. */
export const graphqlServers: readonly GraphqlServer[] = servers.map(([name]) => name);

/** Starts an application on a server. The caller closes it. */
export async function startGraphqlApp(
  name: GraphqlServer,
  resolvers: Provider[],
  options: GraphqlAppOptions = {},
): Promise<GraphqlApp> {
  const [, platform, server] = servers.find(([known]) => known === name) ?? servers[0];
  const app = await startApp(platform, server, resolvers, options);
  return new GraphqlApp(app, `${await app.nest.getUrl()}/graphql`);
}

/** Describes a subject once per GraphQL server. */
export function describeOverGraphql(
  subject: string,
  define: (start: StartGraphqlApp, server: GraphqlServer) => void,
): void {
  describe.each(graphqlServers)(`${subject}, over %s`, (name) => {
    const running: GraphqlApp[] = [];
    afterEach(async () => {
      await Promise.all(running.splice(0).map(({ http }) => http.close()));
    });

    define(async (resolvers, options) => {
      const app = await startGraphqlApp(name, resolvers, options);
      running.push(app);
      return app;
    }, name);
  });
}

function startApp(
  platform: Platform,
  server: 'apollo' | 'mercurius',
  resolvers: Provider[],
  {
    limits = {},
    clock = new ManualClock(),
    graphql = {},
    apollo,
    mercurius,
    module = {},
    ...options
  }: GraphqlAppOptions,
): Promise<HttpApp> {
  const metadata: ModuleMetadata = {
    ...module,
    imports: [
      RateLimitModule.forRoot({ storage: new MemoryStorage({ clock }), ...limits }),
      graphqlModule(server, { ...graphql, ...(server === 'apollo' ? apollo : mercurius) }),
      ...(module.imports ?? []),
    ],
    providers: [...resolvers, ...(module.providers ?? [])],
  };
  return startHttpApp(platform, metadata, options);
}

function graphqlModule(server: 'apollo' | 'mercurius', options: object): DynamicModule {
  const schema = { autoSchemaFile: true as const, ...options };
  return server === 'apollo'
    ? GraphQLModule.forRoot<ApolloDriverConfig>({
        driver: ApolloDriver,
        graphiql: false,
        allowBatchedHttpRequests: true,
        ...schema,
      })
    : GraphQLModule.forRoot<MercuriusDriverConfig>({
        driver: MercuriusDriver,
        allowBatchedQueries: true,
        ...schema,
      });
}

/** A GraphQL application and a client of it. */
export class GraphqlApp {
  constructor(
    readonly http: HttpApp,
    readonly url: string,
  ) {}

  /** Returns the response to one operation. */
  async ask(query: string, headers: Record<string, string> = {}): Promise<Result> {
    return (await this.#post({ query }, headers)) as Result;
  }

  /** Returns the responses to the operations of one request. */
  async askAll(queries: readonly string[]): Promise<Result[]> {
    return (await this.#post(queries.map((query) => ({ query })))) as Result[];
  }

  /**
   * Sends an operation several times, one after the other. Returns the data, or the code of the
   * first error, of each.
   */
  async outcomes(count: number, query: string, headers: Record<string, string> = {}): Promise<unknown[]> {
    const outcomes: unknown[] = [];
    for (let operation = 0; operation < count; operation++)
      outcomes.push(outcomeOf(await this.ask(query, headers)));
    return outcomes;
  }

  async #post(body: unknown, headers: Record<string, string> = {}): Promise<unknown> {
    const response = await fetch(this.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    });
    return response.json();
  }
}

/** Returns the values of an operation's fields, or the code of its first error. */
export function outcomeOf({ data, errors }: Result): unknown {
  const [error] = errors ?? [];
  return error === undefined ? Object.values(data ?? {}).join() : error.extensions?.['code'];
}
