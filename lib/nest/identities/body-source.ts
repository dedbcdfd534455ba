import { hashedIdentity } from '../../common/identity.js';
import type { Warnings } from '../options/warnings.js';
import { HandlerContext } from '../transports/handler-context.js';
import { sourceOf, type IdentifiedRequest, type IdentitySource } from './identity-source.js';

/**
 * Creates the source of a key `'body:<field>'`: a text in the body of an HTTP request, the
 * arguments of a GraphQL field, or the data of a message. Hashed, since such fields often contain
 * personal data.
 */
export function bodySource(field: string, warnings: Warnings): IdentitySource {
  return sourceOf(
    `body:${field}`,
    (request) => {
      const body = bodyOf(request);
      if (body === undefined) warnOfMissingBody(`The key "body:${field}"`, request, warnings);
      return fieldOf(body, field);
    },
    { isUnverified: true, encode: hashedIdentity },
  );
}

function bodyOf({ context, transport }: IdentifiedRequest): unknown {
  switch (transport.type) {
    case 'http':
      return context.getArgByIndex<{ body?: unknown }>(0).body;
    case 'graphql':
      return context.getArgByIndex(1);
    case 'ws':
      return context.switchToWs().getData();
    default:
      return context.switchToRpc().getData();
  }
}

function fieldOf(body: unknown, field: string): string | undefined {
  if (typeof body !== 'object' || body === null || !Object.hasOwn(body, field)) return undefined;
  const value: unknown = (body as Readonly<Record<string, unknown>>)[field];
  return typeof value === 'string' ? value : undefined;
}

/**
 * Warns of a key that found nothing in middleware that runs before the body is parsed: on Fastify always, on Express that of
 * `applyRateLimits`.
 */
export function warnOfMissingBody(
  key: string,
  { context, transport }: IdentifiedRequest,
  warnings: Warnings,
): void {
  if (!(context instanceof HandlerContext) || transport.type !== 'http') return;
  if (context.getArgByIndex<{ body?: unknown }>(0).body !== undefined) return;
  const { 'content-length': length, 'transfer-encoding': encoding } =
    transport.requestOf(context)?.headers ?? {};
  if ((length === undefined || length === '0') && encoding === undefined) return;
  warnings.once(
    `missing body ${key}`,
    `${key} found nothing in a middleware that runs before the body is parsed, so the address was counted instead. If it reads the ` +
      'body, give the limit to the route, where the guard counts it.',
  );
}
