import type { ResolvedOptions } from '../options/resolve-options.js';
import { PROBLEM_MEDIA_TYPE } from '../transports/rate-limit-exceeded.exception.js';

/** The name of the schema of a refusal's body. */
export const REFUSAL_SCHEMA = 'RateLimitExceeded';

type Format = Pick<ResolvedOptions, 'errorFactory' | 'errorFormat' | 'headers'>;

/** Returns the response 429 of an operation. With an `errorFactory`, its body is not known. */
export function refusalResponse(options: Format): object {
  const headers = fieldsOf(options);
  const mediaType = options.errorFormat === 'problem' ? PROBLEM_MEDIA_TYPE : 'application/json';
  const schema = { $ref: `#/components/schemas/${REFUSAL_SCHEMA}` };
  return {
    description: 'A rate limit refuses the request.',
    ...(Object.keys(headers).length > 0 ? { headers } : {}),
    ...(options.errorFactory === undefined ? { content: { [mediaType]: { schema } } } : {}),
  };
}

/**
 * Returns the schema of a refusal's body.
 *
 * @param version of OpenAPI: 3.0 has no type `null`
 */
export function refusalSchema({ errorFormat }: Format, version: string): object {
  const nullable = (type: string, description: string): object =>
    version.startsWith('3.0') ? { type, nullable: true, description } : { type: [type, 'null'], description };
  const statusCode = { type: 'integer', enum: [429] };
  if (errorFormat === 'problem')
    return objectOf({
      type: { type: 'string', format: 'uri' },
      title: { type: 'string' },
      status: statusCode,
      detail: MESSAGE,
      'violated-policies': {
        type: 'array',
        items: { type: 'string' },
        description: 'The names of the limits that refuse.',
      },
    });
  if (errorFormat === 'throttler') return objectOf({ statusCode, message: { type: 'string' } });
  return objectOf({
    statusCode,
    error: { type: 'string' },
    message: MESSAGE,
    limit: objectOf({
      name: { type: 'string' },
      amount: { type: 'integer', description: 'Units allowed per period.' },
      period: nullable('number', 'Seconds; null for concurrent requests.'),
      remaining: { type: 'integer' },
    }),
    retryAfter: nullable('integer', 'Seconds; null if no wait would help, or its length is not known.'),
  });
}

const MESSAGE = { type: 'string', description: 'The limit, and when to try again.' };

function objectOf(properties: Readonly<Record<string, object>>): object {
  return { type: 'object', required: Object.keys(properties), properties };
}

function fieldsOf({ headers: { standard, legacy, retryAfter } }: Format): Record<string, object> {
  const fields: Record<string, object> = {};
  const add = (name: string, type: string, description: string): void => {
    fields[name] = { description, schema: { type } };
  };
  if (retryAfter)
    add('Retry-After', 'integer', 'Seconds until the same request is allowed. Absent if that is not known.');
  if (standard) {
    add('RateLimit-Policy', 'string', 'The limits: their quota `q` and window `w` in seconds.');
    add('RateLimit', 'string', 'What is left of them: `r` units, and `t` seconds until there are more.');
  }
  // With one set per limit, the names depend on the limits.
  if (legacy !== false && legacy.perLimit !== true) {
    const isText = legacy.reset === 'iso';
    add('X-RateLimit-Limit', 'integer', 'Units allowed per period.');
    add('X-RateLimit-Remaining', 'integer', 'Units left.');
    add(
      'X-RateLimit-Reset',
      isText ? 'string' : 'integer',
      `When there are more: ${FORMS[legacy.reset ?? 'seconds']}.`,
    );
  }
  return fields;
}

const FORMS = {
  seconds: 'seconds from now',
  epoch: 'seconds since the epoch',
  iso: 'a time in ISO 8601',
};
