import { randomBytes } from 'node:crypto';
import { ConfigurationError, ResolverError } from '../../common/errors.js';
import { describeValue } from '../../common/describe.js';
import { clientNetwork } from '../../http/client-address.js';
import { identityOf, hashedIdentity } from '../../common/identity.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import type { ClientAddresses } from './client-addresses.js';
import { single, type IdentifiedRequest, type IdentitySource } from './identity-source.js';

/** Headers that carry credentials: the store gets a hash of them. */
const SECRET_HEADERS = new Set(['authorization', 'cookie', 'proxy-authorization']);

const BUILT_IN = 'ip, user, api-key, session, socket, header:<name>';

/**
 * Returns the built-in identity of a name.
 *
 * @throws ConfigurationError for an unknown name
 */
export function builtInSource(
  name: string,
  where: string,
  options: ResolvedOptions,
  addresses: ClientAddresses,
): IdentitySource {
  switch (name) {
    case 'ip':
      return addressSource(options, addresses);
    case 'user':
      return sourceOf(
        'user',
        ({ transport, context }) => {
          const request = transport.requestOf(context);
          return request && userOf(options.user(request));
        },
        { isOfUser: true },
      );
    case 'api-key':
      return sourceOf('api-key', (request) => headerOf(request, options.apiKeyHeader), {
        isUnverified: true,
        encode: hashedIdentity,
      });
    case 'session':
      return sourceOf('session', sessionOf, { isUnverified: true, encode: hashedIdentity });
    case 'socket':
      return sourceOf('socket', socketOf);
    default: {
      const header = /^header:([\w.-]+)$/.exec(name)?.[1]?.toLowerCase();
      if (header === undefined)
        throw new ConfigurationError(
          `${where}: there is no key ${describeValue(name)}. Known: ${BUILT_IN}, or a function.`,
        );
      return sourceOf(`header:${header}`, (request) => headerOf(request, header), {
        isUnverified: true,
        encode: SECRET_HEADERS.has(header) ? hashedIdentity : identityOf,
      });
    }
  }
}

function addressSource({ ipv6Prefix }: ResolvedOptions, addresses: ClientAddresses): IdentitySource {
  return {
    types: ['ip'],
    isUnverified: false,
    isOfUser: false,
    resolve: (request) => addresses.identityFor(request),
    fromValues: (values) => identityOf('ip', clientNetwork(single(values), ipv6Prefix)),
  };
}

function sourceOf(
  type: string,
  find: (request: IdentifiedRequest) => string | undefined,
  { isUnverified = false, isOfUser = false, encode = identityOf } = {},
): IdentitySource {
  return {
    types: [type],
    isUnverified,
    isOfUser,
    resolve(request) {
      const value = find(request);
      return value === undefined || value === '' ? undefined : encode(type, value);
    },
    fromValues: (values) => encode(type, single(values)),
  };
}

/** @throws ResolverError for an object, since most objects have the same text and would share one identity */
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
  return text(Array.isArray(value) ? value.map(text).join() : value); // not text: `constructor` of the prototype
}

function sessionOf({ context, transport }: IdentifiedRequest): string | undefined {
  const request = transport.requestOf(context) as { session?: object; sessionID?: unknown } | undefined;
  const { id, sessionId } = (request?.session ?? {}) as { id?: unknown; sessionId?: unknown };
  return text(id ?? sessionId ?? request?.sessionID);
}

const PROCESS = randomBytes(6).toString('base64url');
const sockets = new WeakMap<object, string>();
let newest = 0;

/** Returns the id that the server gave to a connection, or else one that is unique in this process. */
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
