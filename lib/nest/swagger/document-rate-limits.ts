import type { INestApplicationContext } from '@nestjs/common';
import { findProvider } from '../options/find-provider.js';
import { POLICY_DIRECTORY, RATE_LIMIT_OPTIONS, ROUTE_RULES } from '../options/rate-limit.tokens.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import type { PolicyDirectory } from '../routes/policy-directory.js';
import type { RouteRules } from '../routes/route-rules.js';
import { describePolicies } from './described-policies.js';
import { METHODS, type OpenApiDocument, type OpenApiOperation } from './open-api.js';
import { REFUSAL_SCHEMA, refusalResponse, refusalSchema } from './refusal-response.js';
import { RouteOperations } from './route-operations.js';

/**
 * Returns a copy of an OpenAPI document in which each limited operation has the response 429, with its
 * header fields and the schema of its body, and `x-rate-limit`: its policies, by plan. A response 429
 * of the document keeps its own description, fields and body.
 *
 * Describes the rules that cover all requests of an operation, and no shadow limits.
 *
 * @param document of OpenAPI 3.0 or 3.1, such as `SwaggerModule.createDocument` returns
 * @throws ConfigurationError if the application does not import `RateLimitModule`
 * @example
 * ```ts
 * import type { INestApplication } from '@nestjs/common';
 * import { DocumentBuilder, SwaggerModule } from '@nestjs/swagger';
 * import { documentRateLimits } from 'nestjs-limits/swagger';
 *
 * async function document(app: INestApplication) {
 *   const plain = SwaggerModule.createDocument(app, new DocumentBuilder().setTitle('Shop').build());
 *   SwaggerModule.setup('docs', app, await documentRateLimits(app, plain));
 * }
 * ```
 */
export async function documentRateLimits<Document extends OpenApiDocument>(
  app: INestApplicationContext,
  document: Document,
): Promise<Document> {
  const find = (token: symbol): unknown => findProvider(app, token, 'documentRateLimits');
  const options = find(RATE_LIMIT_OPTIONS) as ResolvedOptions;
  const rules = find(ROUTE_RULES) as RouteRules;
  const directory = find(POLICY_DIRECTORY) as PolicyDirectory;
  await rules.ensureAllCompiled();
  const operations = new RouteOperations(directory.routes);

  const described = <Operation extends OpenApiOperation>(
    operation: Operation,
    method: string,
    path: string,
  ): Operation => {
    const route = operations.find(method, path);
    if (route === undefined) return operation;
    const template = path.replaceAll(/\{([^}]*)\}/g, ':$1');
    const policies = describePolicies(rules.certainPoliciesFor(route, method, template));
    if (policies.length === 0) return operation;
    const refusal = { ...refusalResponse(options), ...operation.responses?.['429'] };
    return { ...operation, responses: { ...operation.responses, '429': refusal }, 'x-rate-limit': policies };
  };

  const isOperation = (key: string): boolean => METHODS.some((method) => method === key);
  const paths = mapValues(document.paths, (item, path) =>
    mapValues(item, (value, key) => (isOperation(key) ? described(value, key.toUpperCase(), path) : value)),
  );
  return { ...document, paths, components: withSchema(document, options) };
}

function mapValues(values: object, map: (value: object, key: string) => object): object {
  const entries = Object.entries(values as Readonly<Record<string, object>>);
  return Object.fromEntries(entries.map(([key, value]) => [key, map(value, key)]));
}

function withSchema({ openapi, components = {} }: OpenApiDocument, options: ResolvedOptions): object {
  if (options.errorFactory !== undefined) return components;
  const { schemas } = components as { readonly schemas?: object };
  return { ...components, schemas: { [REFUSAL_SCHEMA]: refusalSchema(options, openapi), ...schemas } };
}
