import { randomBytes } from 'node:crypto';
import { ConfigurationError } from '../../common/errors.js';
import { describeValue } from '../../common/describe.js';
import { clientNetwork } from '../../http/client-address.js';
import { identityOf, hashedIdentity } from '../../common/identity.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import type { Warnings } from '../options/warnings.js';
import { bodySource } from './body-source.js';
import type { ClientAddresses } from './client-addresses.js';
import { single, sourceOf, textOf, type IdentifiedRequest, type IdentitySource } from './identity-source.js';
import { userSource } from './user-source.js';

/** Headers that contain credentials. The store gets a hash of them. */
const SECRET_HEADERS = new Set(['authorization', 'cookie', 'proxy-authorization']);

const BUILT_IN = 'ip, user, api-key, session, socket, header:<name>, body:<field>';

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
  warnings: Warnings,
): IdentitySource {
  switch (name) {
    case 'ip':
      return addressSource(options, addresses);
    case 'user':
      return userSource(options, warnings);
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
      const [, kind, part = ''] = /^(header|body):([\w.-]+)$/.exec(name) ?? [];
      if (kind === 'header') return headerSource(part.toLowerCase());
      if (kind === 'body') return bodySource(part, warnings);
      throw new ConfigurationError(
        `${where}: there is no key ${describeValue(name)}. Known: ${BUILT_IN}, or a function.`,
      );
    }
  }
}

function headerSource(name: string): IdentitySource {
  return sourceOf(`header:${name}`, (request) => headerOf(request, name), {
    isUnverified: true,
    encode: SECRET_HEADERS.has(name) ? hashedIdentity : identityOf,
  });
}

function addressSource({ ipv6Prefix }: ResolvedOptions, addresses: ClientAddresses): IdentitySource {
  return {
    types: ['ip'],
    isUnverified: false,
    mayReadUser: false,
    resolve: (request) => addresses.identityFor(request),
    fromValues: (values) => identityOf('ip', clientNetwork(single(values), ipv6Prefix)),
  };
}

function headerOf({ context, transport }: IdentifiedRequest, name: string): string | undefined {
  const value: unknown = transport.requestOf(context)?.headers?.[name];
  return textOf(Array.isArray(value) ? value.map(textOf).join() : value); // not text: `constructor` of the prototype
}

function sessionOf({ context, transport }: IdentifiedRequest): string | undefined {
  const request = transport.requestOf(context) as { session?: object; sessionID?: unknown } | undefined;
  const { id, sessionId } = (request?.session ?? {}) as { id?: unknown; sessionId?: unknown };
  return textOf(id ?? sessionId ?? request?.sessionID);
}

const PROCESS = randomBytes(6).toString('base64url');
const sockets = new WeakMap<object, string>();
let newest = 0;

/**
 * Returns the id that the server gave to a connection, or else one that is unique in this process.
 */
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
