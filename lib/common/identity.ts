import { createHash } from 'node:crypto';
import { encodeIdentifier } from './identifier.js';

/** Identities longer than this are hashed, so that no client can make keys long. */
const MAX_IDENTITY_LENGTH = 128;

/** Joins the parts of an identity of several; no part holds it. */
const SEPARATOR = '/';

/**
 * The bucket of an identity. Its type is part of it, so that the user `1.2.3.4` is not the address 1.2.3.4.
 *
 * @param type such as `'ip'` or `'user'`
 * @throws TypeError when the value is not a string
 */
export function identityOf(type: string, value: string): string {
  // What is long is long encoded, too.
  if (typeof value === 'string' && value.length > MAX_IDENTITY_LENGTH) return hashedIdentity(type, value);
  const encoded = encodeIdentifier(value);
  return encoded.length <= MAX_IDENTITY_LENGTH ? `${type}:${encoded}` : hashedIdentity(type, value);
}

/** The bucket of an identity that no store may get to know. */
export function hashedIdentity(type: string, value: string): string {
  return `${type}#:${digest(value)}`;
}

/** The bucket of an identity of several parts: of a user within a tenant, for example. */
export function joinIdentities(identities: readonly string[]): string {
  return identities.join(SEPARATOR);
}

/** Of UTF-16, since UTF-8 has one replacement for every lone surrogate. */
function digest(value: string): string {
  return createHash('sha256').update(value, 'utf16le').digest('base64url');
}
