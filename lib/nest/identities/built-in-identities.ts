import { randomBytes } from 'node:crypto';
import { ConfigurationError, ResolverError } from '../../common/errors.js';
import { describeValue } from '../../common/describe.js';
import { clientNetwork } from '../../http/client-address.js';
import { bucketOf, secretBucketOf } from '../../policies/buckets.js';
import type { ResolvedOptions } from '../resolve-options.js';
import { theOnly, type IdentifiedRequest, type Identity } from './identity.js';

/** Headers that let in whoever has them: no store gets to know them. */
const SECRET_HEADERS = new Set(['authorization', 'cookie', 'proxy-authorization']);

const BUILT_IN = 'ip, user, api-key, session, socket, header:<name>';

/**
 * The identity that a name means.
 *
 * @throws ConfigurationError when it means none
 */
export function builtInIdentity(name: string, where: string, options: ResolvedOptions): Identity {
  switch (name) {
    case 'ip':
      return addressIdentity(options);
    case 'user':
      return identityOf(
        'user',
        ({ transport, context }) => {
          const request = transport.requestOf(context);
          return request && userOf(options.user(request));
        },
        { isOfUser: true },
      );
    case 'api-key':
      return identityOf('api-key', (request) => headerOf(request, options.apiKeyHeader), {
        isAsserted: true,
        bucket: secretBucketOf,
      });
    case 'session':
      return identityOf('session', sessionOf, { isAsserted: true, bucket: secretBucketOf });
    case 'socket':
      return identityOf('socket', socketOf);
    default: {
      const header = /^header:([\w.-]+)$/.exec(name)?.[1]?.toLowerCase();
      if (header === undefined)
        throw new ConfigurationError(
          `${where}: there is no key ${describeValue(name)}. Known: ${BUILT_IN}, or a function.`,
        );
      return identityOf(`header:${header}`, (request) => headerOf(request, header), {
        isAsserted: true,
        bucket: SECRET_HEADERS.has(header) ? secretBucketOf : bucketOf,
      });
    }
  }
}

function addressIdentity({ ipv6Prefix }: ResolvedOptions): Identity {
  return {
    types: ['ip'],
    isAsserted: false,
    isOfUser: false,
    bucketOf: (request) => request.addressBucket(),
    bucketFor: (values) => bucketOf('ip', clientNetwork(theOnly(values), ipv6Prefix)),
  };
}

function identityOf(
  type: string,
  find: (request: IdentifiedRequest) => string | undefined,
  { isAsserted = false, isOfUser = false, bucket = bucketOf } = {},
): Identity {
  return {
    types: [type],
    isAsserted,
    isOfUser,
    bucketOf(request) {
      const value = find(request);
      return value === undefined || value === '' ? undefined : bucket(type, value);
    },
    bucketFor: (values) => bucket(type, theOnly(values)),
  };
}

/** @throws ResolverError for what would make one user of all, as most objects do when they become texts */
function userOf(user: unknown): string | undefined {
  const found = text(user);
  if (found !== undefined || user === undefined || user === null) return found;
  throw new ResolverError(
    `The key "user" must be a string or a number; got ${describeValue(user)}. Say what it is in the module's option "user": ` +
      '(request: { user?: { account: string } }) => request.user?.account, for example.',
  );
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'bigint'
    ? String(value)
    : undefined;
}

function headerOf({ context, transport }: IdentifiedRequest, name: string): string | undefined {
  const value: unknown = transport.requestOf(context)?.headers?.[name];
  return text(Array.isArray(value) ? value.map(text).join() : value); // "constructor" is there, but no header
}

function sessionOf({ context, transport }: IdentifiedRequest): string | undefined {
  const request = transport.requestOf(context) as { session?: object; sessionID?: unknown } | undefined;
  const { id, sessionId } = (request?.session ?? {}) as { id?: unknown; sessionId?: unknown };
  return text(id ?? sessionId ?? request?.sessionID);
}

const PROCESS = randomBytes(6).toString('base64url');
const sockets = new WeakMap<object, string>();
let newest = 0;

/** The id of a connection: its own, if it has one that the server gave it. */
function socketOf({ context, transport }: IdentifiedRequest): string | undefined {
  const connection: { id?: unknown } | undefined = transport.connectionOf?.(context);
  if (connection === undefined) return undefined;
  if (typeof connection.id === 'string') return connection.id;
  let id = sockets.get(connection);
  if (id === undefined) {
    id = `${PROCESS}.${++newest}`;
    sockets.set(connection, id);
  }
  return id;
}
